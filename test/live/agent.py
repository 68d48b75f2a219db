# An agent of a few lines on a provider's SDK, instrumented by OpenInference and exported by OpenTelemetry's own exporter, as its users write it.
#   agent.py openai|anthropic|langchain MODEL_URL OTLP_URL KEY

import json
import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

which, model_url, otlp_url, key = sys.argv[1:5]
provider = TracerProvider(resource=Resource.create({"service.name": f"python-{which}", "service.version": "1.2.3"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{otlp_url}/v1/traces", headers={"authorization": f"Bearer {key}"})))
tracer = provider.get_tracer("agent")

QUESTION = "Where is my refund for order 1182?"
PARAMETERS = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}


def lookup_order(order_id: str) -> str:
    """Look an order up."""
    return json.dumps({"order_id": order_id, "status": "returned", "amount": 42})


def run_tool(name: str, arguments: dict) -> str:
    with tracer.start_as_current_span(name, attributes={"openinference.span.kind": "TOOL", "tool.name": name, "input.value": json.dumps(arguments), "input.mime_type": "application/json"}) as span:
        output = lookup_order(**arguments)
        span.set_attribute("output.value", output)
        return output


def openai_agent() -> None:
    from openai import OpenAI
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)
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
    from anthropic import Anthropic
    from openinference.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=provider)
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
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)
    lookup = tool(lookup_order)
    model = ChatOpenAI(base_url=f"{model_url}/v1", api_key="none", model="gpt-4o", max_retries=0).bind_tools([lookup])
    messages = [HumanMessage(QUESTION)]
    while True:
        answer = model.invoke(messages)
        messages.append(answer)
        if not answer.tool_calls:
            return
        messages.extend(lookup.invoke(call) for call in answer.tool_calls)


with tracer.start_as_current_span("run", attributes={"user.id": "c-4711"}):
    {"openai": openai_agent, "anthropic": anthropic_agent, "langchain": langchain_agent}[which]()
provider.shutdown()
