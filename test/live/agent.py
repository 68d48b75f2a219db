# An agent of a few lines on a provider's SDK or a framework, instrumented by OpenInference or OpenLLMetry and exported by OpenTelemetry's own exporter, as its users write it.
#   agent.py openinference|openllmetry openai|anthropic|langchain|crewai MODEL_URL OTLP_URL KEY

import json
import os
import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


class Named(SpanProcessor):
    """Names the person on every span: the first export begins the session, and the topmost span comes in the last."""

    def on_start(self, span, parent_context=None):
        span.set_attribute("user.id", "c-4711")


by, which, model_url, otlp_url, key = sys.argv[1:6]
provider = TracerProvider(resource=Resource.create({"service.name": f"python-{which}", "service.version": "1.2.3"}))
provider.add_span_processor(Named())
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{otlp_url}/v1/traces", headers={"authorization": f"Bearer {key}"})))
tracer = provider.get_tracer("agent")

QUESTION = "Where is my refund for order 1182?"
PARAMETERS = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}


def instrument(package: str) -> None:
    """One of `openai`, `anthropic`, `langchain` and `crewai`, by who was asked for."""
    if by == "openinference":
        if package == "openai":
            from openinference.instrumentation.openai import OpenAIInstrumentor as Instrumentor
        elif package == "anthropic":
            from openinference.instrumentation.anthropic import AnthropicInstrumentor as Instrumentor
        elif package == "langchain":
            from openinference.instrumentation.langchain import LangChainInstrumentor as Instrumentor
        else:
            from openinference.instrumentation.crewai import CrewAIInstrumentor as Instrumentor
    elif package == "openai":
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor as Instrumentor
    elif package == "anthropic":
        from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor as Instrumentor
    elif package == "langchain":
        from opentelemetry.instrumentation.langchain import LangchainInstrumentor as Instrumentor
    else:
        from opentelemetry.instrumentation.crewai import CrewAIInstrumentor as Instrumentor
    Instrumentor().instrument(tracer_provider=provider)


def lookup_order(order_id: str) -> str:
    """Look an order up."""
    return json.dumps({"order_id": order_id, "status": "returned", "amount": 42})


# What instruments a model's SDK does not see a tool: the agent makes its span, in the words of its instrumentation (OpenLLMetry's are those that its decorator @tool writes).
def run_tool(name: str, arguments: dict) -> str:
    said = json.dumps(arguments)
    attributes = {"openinference.span.kind": "TOOL", "tool.name": name, "input.value": said, "input.mime_type": "application/json"} if by == "openinference" else {"traceloop.span.kind": "tool", "traceloop.entity.name": name, "traceloop.entity.input": json.dumps({"args": [], "kwargs": arguments})}
    with tracer.start_as_current_span(name if by == "openinference" else f"{name}.tool", attributes=attributes) as span:
        output = lookup_order(**arguments)
        span.set_attribute(*(("output.value", output) if by == "openinference" else ("traceloop.entity.output", json.dumps(output))))
        return output


def openai_agent() -> None:
    instrument("openai")
    from openai import OpenAI

    client = OpenAI(base_url=f"{model_url}/v1", api_key="none", max_retries=0)
    messages = [{"role": "user", "content": QUESTION}]
    tools = [{"type": "function", "function": {"name": "lookup_order", "description": "Look an order up", "parameters": PARAMETERS}}]
    while True:
        answer = client.chat.completions.create(model="gpt-4o", messages=messages, tools=tools, temperature=0.5)
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return
        for call in message.tool_calls:
            messages.append({"role": "tool", "tool_call_id": call.id, "content": run_tool(call.function.name, json.loads(call.function.arguments))})


def anthropic_agent() -> None:
    instrument("anthropic")
    from anthropic import Anthropic

    client = Anthropic(base_url=model_url, api_key="none", max_retries=0)
    messages = [{"role": "user", "content": QUESTION}]
    tools = [{"name": "lookup_order", "description": "Look an order up", "input_schema": PARAMETERS}]
    while True:
        answer = client.messages.create(model="claude-opus-4-6", max_tokens=512, system="Be kind.", messages=messages, tools=tools)
        messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]})
        results = [{"type": "tool_result", "tool_use_id": block.id, "content": run_tool(block.name, block.input)} for block in answer.content if block.type == "tool_use"]
        if not results:
            return
        messages.append({"role": "user", "content": results})


def langchain_agent() -> None:
    instrument("langchain")
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    lookup = tool(lookup_order)
    model = ChatOpenAI(base_url=f"{model_url}/v1", api_key="none", model="gpt-4o", max_retries=0).bind_tools([lookup])
    messages = [HumanMessage(QUESTION)]
    while True:
        answer = model.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return
        messages.extend(lookup.invoke(call) for call in answer.tool_calls)


def crewai_agent() -> None:
    os.environ.update(CREWAI_DISABLE_TELEMETRY="true", CREWAI_TRACING_ENABLED="false", CREWAI_TESTING="true", ANONYMIZED_TELEMETRY="False", LITELLM_LOCAL_MODEL_COST_MAP="True")
    from crewai import LLM, Agent, Crew, Task
    from crewai.tools import tool

    instrument("crewai")
    instrument("openai")  # the model calls: what instruments CrewAI sees crews, tasks, agents and tools
    clerk = Agent(role="Refund clerk", goal="Answer customers", backstory="You are kind.", tools=[tool(lookup_order)], llm=LLM(model="openai/gpt-4o", base_url=f"{model_url}/v1", api_key="none"))
    task = Task(description=QUESTION, expected_output="One sentence.", agent=clerk)
    Crew(agents=[clerk], tasks=[task], verbose=False).kickoff()


with tracer.start_as_current_span("run"):
    {"openai": openai_agent, "anthropic": anthropic_agent, "langchain": langchain_agent, "crewai": crewai_agent}[which]()
provider.shutdown()
