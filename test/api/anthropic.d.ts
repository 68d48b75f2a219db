/** To whom content belongs: a person's id, several where it is of all of them at once, or null for nobody but the session. */
type Subject = string | readonly string[] | null;
/** Whatever model calls can be recorded to: a Trail or a Session. */
interface ModelCallSource {
    llm(call: never, run: never, read: never): Promise<unknown>;
}

/** What we need of the SDK's client; `new Anthropic()`, the Bedrock, Vertex and Foundry clients and their like have it. */
interface AnthropicClient {
    withOptions(options: never): unknown;
}
/** Where the calls are recorded: a Trail (then in the session of the async context of each request) or a Session. */
type AnthropicRecorder = ModelCallSource;
/** `subject` says of a message, as the API has it, whose it is: a person's id, several, null, or undefined for whoever the call is about. The answer is asked for as an assistant's message. */
interface AuditOptions {
    readonly subject?: (message: unknown) => Subject | undefined;
}
type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
/**
 * A client like `client`, of the same class and with the same options, whose model calls are recorded in `to`. A client that
 * is on the record already comes back as it is, or recording in `to` alone. Throws a TypeError when it is not an SDK client.
 */
declare function auditAnthropic<C extends AnthropicClient>(client: C, to: AnthropicRecorder, options?: AuditOptions): C;
/** `fetch` whose requests to the Messages API are recorded in `to`; others pass. For SDKs and code that take a `fetch`. */
declare function auditedFetch(to: AnthropicRecorder, fetch?: Fetch, { subject }?: AuditOptions): Fetch;

/** What we need of a trail. */
interface AgentTrail extends ModelCallSource {
    start(facts: AgentSessionFacts): Promise<AgentSession>;
    tool<T extends RunnableTool>(tool: T): T;
}
/** What we need of a session. `end` with the outcome `timeout` is a `session_timeout`. */
interface AgentSession {
    readonly session_id: string;
    run<R>(fn: () => R): R;
    record(event_type: 'error', event: {
        error: unknown;
        recoverable?: boolean;
    }): unknown;
    end(end: {
        outcome: 'success' | 'failure' | 'timeout';
        reason: string;
        final_output?: string;
    }): Promise<unknown>;
}
interface AgentSessionFacts {
    user_message: string;
    subject?: Subject;
    user_id?: string;
    session_id?: string;
    model_id?: string;
    system_prompt?: string;
}
/** A tool that `trail.tool(definition, run)` made. */
interface AuditedTool {
    readonly definition: {
        readonly name: string;
    };
    run(input: unknown, call_id?: string): Promise<{
        content: unknown;
        is_error: boolean;
    }>;
}
/** A tool of the SDK's helpers (`betaZodTool`, `betaTool`, …). It is put on the record with `trail.tool(tool)`, which gives back what is on it already. */
interface RunnableTool {
    name: string;
    run?: (...args: never[]) => unknown;
    parse?: (content: unknown) => unknown;
}
/** A tool that the provider runs, as `{ type: 'web_search_20250305', name: 'web_search' }`; it goes into the request as it is. */
interface ProviderTool {
    readonly type?: string | null;
    readonly name?: string;
    readonly [key: string]: unknown;
}
/** What we need of the SDK's client. */
interface AgentClient {
    withOptions(options: never): unknown;
    readonly messages: {
        create(request: never, options?: never): PromiseLike<unknown>;
        stream(request: never, options?: never): {
            finalMessage(): Promise<unknown>;
            on(event: 'text', listener: (text: string) => void): unknown;
        };
    };
}
/** A message of the conversation, as the API takes it. */
interface AgentMessage {
    readonly role: 'user' | 'assistant';
    readonly content: string | readonly unknown[];
}
interface AuditedAgent {
    /** the SDK's client; it need not be on the record already */
    client: AgentClient;
    trail: AgentTrail;
    model: string;
    user_message: string;
    system?: string;
    tools?: readonly (AuditedTool | RunnableTool | ProviderTool)[];
    /** the conversation before `user_message` */
    messages?: readonly AgentMessage[];
    /** how many times the model is asked at most; 10 by default */
    max_iterations?: number;
    /** 4096 by default */
    max_tokens?: number;
    user_id?: string;
    session_id?: string;
    /** whom the session is about: a person's id, or of a message whose it is, as `auditAnthropic` asks */
    subject?: string | readonly string[] | ((message: unknown) => Subject | undefined);
    /** ask for streams; `on_text` gets the text as it comes */
    stream?: boolean;
    on_text?: (text: string) => void;
    signal?: AbortSignal;
    /** more of the request, as `{ temperature: 0, thinking: {…} }` */
    parameters?: {
        readonly [key: string]: unknown;
    };
}
interface AuditedAgentResult {
    readonly session_id: string;
    /** `timeout`: the limit was reached while the model still asked for tools; those of its last reply were not run */
    readonly outcome: 'success' | 'timeout';
    /** the text of the last reply */
    readonly output: string;
    readonly stop_reason: string | null;
    readonly iterations: number;
    readonly messages: readonly AgentMessage[];
}
/**
 * Runs the agent in a session of its own. Tools asked for together run together; a tool that throws gives the model an error
 * result. What else throws (the API, a policy that forbids a call, an abort) is recorded as an `error`, ends the session as a
 * failure and is thrown on as it is.
 */
declare function runAuditedAgent(agent: AuditedAgent): Promise<AuditedAgentResult>;

export { auditAnthropic, auditedFetch, runAuditedAgent };
export type { AnthropicClient, AnthropicRecorder, AuditOptions, AuditedAgent, AuditedAgentResult };
