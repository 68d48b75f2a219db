/** The base of every error that is not misuse: a stable `code`, and `next`, what an operator does about it. */
declare class CounterfoilError extends Error {
    readonly code: string;
    readonly next: string;
    constructor(code: string, message: string, next: string, options?: {
        cause?: unknown;
    });
}
/** The store, the spool or a key file could not do its work. `retry` says whether the same call may be made again. */
declare class StoreError extends CounterfoilError {
    readonly retry: boolean;
    constructor(code: string, message: string, next: string, options?: {
        cause?: unknown;
        retry?: boolean;
    });
}
/** A server could not be reached or refused. `retry` says whether the same call may be made again. */
declare class RemoteError extends CounterfoilError {
    readonly retry: boolean;
    readonly status?: number;
    constructor(code: string, message: string, next: string, options?: {
        cause?: unknown;
        retry?: boolean;
        status?: number;
    });
}
/** What was stored contradicts itself: evidence of tampering, or of a damaged disk. */
declare class VerifyError extends CounterfoilError {
    readonly first_bad_index?: number;
    constructor(code: string, message: string, next: string, options?: {
        cause?: unknown;
        first_bad_index?: number;
    });
}
/** The caller's mistake: `expected` against `got`, and the next step. A TypeError, so that it is never taken for a failing disk. */
declare class MisuseError extends TypeError {
    readonly code: string;
    readonly next: string;
    constructor(code: string, message: string, next: string);
}

declare const VOCABULARY: {
    readonly session_start: {
        readonly facts: {
            readonly agent_id: "label";
            readonly agent_version: "label?";
            readonly model_id: "label?";
            readonly source: "label?";
            readonly user: "ref?";
            readonly subject: "ref?";
            readonly parent_session_id: "uuid?";
            readonly root_session_id: "uuid?";
            readonly system_prompt_fingerprint: "hash?";
            readonly implicit: "bool?";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly user_message: "one";
            readonly system_prompt: "one";
            readonly tool_definitions: "list";
            readonly client_session_id: "one";
            readonly tags: "one";
            readonly on_behalf_of: "one";
        };
    };
    readonly llm_call: {
        readonly facts: {
            readonly provider: "label";
            readonly model_id: "label";
            readonly streaming: "bool?";
            readonly attempt: "int?";
            readonly call_id: "label?";
            readonly endpoint: "label?";
            readonly message_count: "int?";
            readonly system_prompt_fingerprint: "hash?";
            readonly max_tokens: "int?";
            readonly temperature: "decimal?";
            readonly top_p: "decimal?";
            readonly top_k: "int?";
            readonly seed: "int?";
            readonly budget_tokens: "int?";
        };
        readonly payloads: {
            readonly input_messages: "list";
            readonly system_prompt: "one";
            readonly tool_definitions: "list";
            readonly request_parameters: "one";
            readonly model_name: "one";
            readonly continues: "one";
        };
    };
    readonly context: {
        readonly facts: {};
        readonly payloads: {
            readonly input_messages: "list";
            readonly tool_definitions: "list";
            readonly output: "list";
        };
    };
    readonly llm_result: {
        readonly facts: {
            readonly model_id: "label?";
            readonly stop_reason: "label?";
            readonly input_tokens: "int?";
            readonly output_tokens: "int?";
            readonly cache_read_tokens: "int?";
            readonly cache_write_tokens: "int?";
            readonly reasoning_tokens: "int?";
            readonly latency_ms: "int?";
            readonly time_to_first_token_ms: "int?";
            readonly status: "int?";
            readonly error_type: "label?";
            readonly attempt: "int?";
            readonly complete: "bool?";
        };
        readonly payloads: {
            readonly output: "list";
            readonly output_text: "one";
            readonly tool_calls_requested: "one";
            readonly response_id: "one";
            readonly error: "one";
            readonly usage: "one";
            readonly raw: "one";
            readonly names: "one";
        };
    };
    readonly reasoning: {
        readonly facts: {
            readonly kind: "=model_reported|author_stated";
            readonly form: "=full|summarised|encrypted|withheld?";
        };
        readonly payloads: {
            readonly text: "one";
        };
    };
    readonly tool_call: {
        readonly facts: {
            readonly tool_name: "label";
            readonly call_id: "label?";
            readonly risk: "=low|medium|high|critical";
            readonly requires_approval: "bool?";
            readonly approval: "int?";
            readonly attempt: "int?";
            readonly requested_by: "int?";
        };
        readonly payloads: {
            readonly tool_input: "one";
            readonly names: "one";
        };
    };
    readonly tool_result: {
        readonly facts: {
            readonly tool_name: "label?";
            readonly call_id: "label?";
            readonly execution_time_ms: "int?";
            readonly error_type: "label?";
        };
        readonly payloads: {
            readonly tool_output: "one";
            readonly error: "one";
        };
    };
    readonly approval_request: {
        readonly facts: {
            readonly tool_name: "label";
            readonly call_id: "label?";
            readonly risk: "=low|medium|high|critical?";
            readonly expires_at: "time?";
            readonly quorum: "int?";
        };
        readonly payloads: {
            readonly tool_input: "one";
            readonly shown: "one";
        };
    };
    readonly approval_decision: {
        readonly facts: {
            readonly request: "hash";
            readonly decision: "=approved|rejected|expired";
            readonly approver: "ref?";
            readonly assurance: "=asserted|terminal|api_key|oidc?";
            readonly time_to_decide_ms: "int?";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly comment: "one";
        };
    };
    readonly human_intervention: {
        readonly facts: {
            readonly kind: "=stop|override|edit|takeover";
            readonly actor: "ref";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly note: "one";
        };
    };
    readonly policy_decision: {
        readonly facts: {
            readonly policy: "label";
            readonly version: "label?";
            readonly decision: "=allow|deny|transform";
        };
        readonly payloads: {
            readonly reason: "one";
        };
    };
    readonly data_access: {
        readonly facts: {
            readonly source: "label";
            readonly classification: "label?";
            readonly record_count: "int?";
            readonly trust: "=trusted|untrusted?";
        };
        readonly payloads: {
            readonly reference: "one";
        };
    };
    readonly sandbox_crossing: {
        readonly facts: {
            readonly kind: "=network|file|process";
            readonly direction: "=in|out?";
            readonly allowed: "bool";
        };
        readonly payloads: {
            readonly target: "one";
        };
    };
    readonly state_snapshot: {
        readonly facts: {
            readonly kind: "label?";
            readonly bytes: "int?";
        };
        readonly payloads: {
            readonly state: "one";
        };
    };
    readonly handoff: {
        readonly facts: {
            readonly to_agent_id: "label";
            readonly child_session_id: "uuid?";
        };
        readonly payloads: {
            readonly instructions: "one";
        };
    };
    readonly config_change: {
        readonly facts: {
            readonly what: "label";
            readonly agent_version: "label?";
            readonly model_id: "label?";
            readonly system_prompt_fingerprint: "hash?";
        };
        readonly payloads: {
            readonly before: "one";
            readonly after: "one";
            readonly system_prompt: "one";
        };
    };
    readonly error: {
        readonly facts: {
            readonly error_type: "label?";
            readonly recoverable: "bool?";
        };
        readonly payloads: {
            readonly message: "one";
            readonly stack: "one";
        };
    };
    readonly final_output: {
        readonly facts: {};
        readonly payloads: {
            readonly output: "one";
        };
    };
    readonly subject: {
        readonly facts: {
            readonly subject: "ref";
        };
        readonly payloads: {
            readonly identity: "one";
        };
    };
    readonly session_suspend: {
        readonly facts: {
            readonly reason: "label?";
        };
        readonly payloads: {};
    };
    readonly session_resume: {
        readonly facts: {
            readonly reason: "label?";
        };
        readonly payloads: {};
    };
    readonly session_interrupted: {
        readonly facts: {
            readonly interrupted_stream: "ref";
            readonly last_stream_seq: "int";
        };
        readonly payloads: {};
    };
    readonly session_end: {
        readonly facts: {
            readonly reason: "label?";
            readonly streams: "counts[256]?";
            readonly stream_total: "int?";
            readonly segment_count: "int?";
            readonly segment_root: "hash?";
        };
        readonly payloads: {
            readonly note: "one";
        };
    };
    readonly session_timeout: {
        readonly facts: {
            readonly reason: "label?";
            readonly streams: "counts[256]?";
            readonly stream_total: "int?";
            readonly segment_count: "int?";
            readonly segment_root: "hash?";
        };
        readonly payloads: {
            readonly note: "one";
        };
    };
    readonly gap: {
        readonly facts: {
            readonly missing_stream: "ref";
            readonly from: "int";
            readonly to: "int";
            readonly cause: "label";
        };
        readonly payloads: {};
    };
    readonly finding: {
        readonly facts: {
            readonly rule: "label";
            readonly severity: "=info|low|medium|high|critical";
            readonly events: "uuid[64]?";
            readonly expected: "hash?";
            readonly got: "hash?";
        };
        readonly payloads: {
            readonly explanation: "one";
        };
    };
    readonly access: {
        readonly facts: {
            readonly action: "label";
            readonly counts: "int?";
            readonly root: "hash?";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly query: "one";
            readonly purpose: "one";
        };
    };
    readonly retention: {
        readonly facts: {
            readonly phase: "label";
            readonly scopes: "scope[500]?";
            readonly part: "int?";
            readonly parts: "int?";
            readonly result: "label?";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly reason: "one";
            readonly legal_basis: "one";
        };
    };
    readonly hold: {
        readonly facts: {
            readonly phase: "label";
            readonly scopes: "scope[500]?";
            readonly part: "int?";
            readonly parts: "int?";
            readonly result: "label?";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly reason: "one";
            readonly legal_basis: "one";
        };
    };
    readonly erasure: {
        readonly facts: {
            readonly phase: "=ordered|done";
            readonly erasure: "ref";
            readonly scopes: "scope[500]?";
            readonly part: "int?";
            readonly parts: "int?";
            readonly scope_count: "int?";
            readonly segment_count: "int?";
            readonly result: "label?";
        };
        readonly payloads: {
            readonly identity: "one";
            readonly reason: "one";
            readonly legal_basis: "one";
        };
    };
    readonly log_start: {
        readonly facts: {
            readonly format: "label";
            readonly origin: "label";
            readonly vkey: "label";
            readonly previous: "label?";
        };
        readonly payloads: {};
    };
    readonly log_end: {
        readonly facts: {
            readonly reason: "label?";
            readonly next: "label?";
        };
        readonly payloads: {};
    };
    readonly key_rotation: {
        readonly facts: {
            readonly vkey: "label";
            readonly from_size: "int";
            readonly root: "hash";
            readonly signature: "signature";
        };
        readonly payloads: {};
    };
    readonly key_compromise: {
        readonly facts: {
            readonly vkey: "label";
            readonly last_good_size: "int";
        };
        readonly payloads: {
            readonly note: "one";
        };
    };
    readonly integrity_check: {
        readonly facts: {
            readonly result: "label";
            readonly size: "int";
            readonly root: "hash?";
        };
        readonly payloads: {};
    };
    readonly clock: {
        readonly facts: {
            readonly from: "time";
            readonly to: "time";
        };
        readonly payloads: {};
    };
    readonly custom: {
        readonly facts: {
            readonly name: "label";
        };
        readonly payloads: {
            readonly content: "one";
        };
    };
};
type Vocabulary = typeof VOCABULARY;
/** One of the event types of format v1. */
type KnownType = keyof Vocabulary;
type Value$1<K extends string> = K extends `${infer Base}[${string}]` ? (Base extends 'counts' ? {
    readonly [ref: string]: number;
} : readonly string[]) : K extends `=${infer Names}` ? Split<Names> : K extends 'int' ? number : K extends 'bool' ? boolean : string;
type Split<S extends string> = S extends `${infer Head}|${infer Tail}` ? Head | Split<Tail> : S;
type Kinds<K extends KnownType> = Vocabulary[K]['facts'];
type OptionalNames<F> = {
    [N in keyof F]: F[N] extends `${string}?` ? N : never;
}[keyof F];
/** The facts of event type `K`, exactly. */
type Facts<K extends KnownType> = {
    readonly [N in Exclude<keyof Kinds<K>, OptionalNames<Kinds<K>>>]: Value$1<Kinds<K>[N] & string>;
} & {
    readonly [N in OptionalNames<Kinds<K>> & keyof Kinds<K>]?: Kinds<K>[N] extends `${infer Base}?` ? Value$1<Base> : never;
};
/** The payload names of event type `K`. */
type PayloadName<K extends KnownType> = keyof Vocabulary[K]['payloads'] & string;
/** Outcomes an event may carry in its envelope. */
declare const OUTCOMES: readonly ["success", "failure", "denied", "timeout", "unknown"];
type Outcome = (typeof OUTCOMES)[number];
/** When an event was told: before the act, after it, or read from somebody else's record. */
declare const CAPTURES: readonly ["before", "after", "imported"];
type Capture = (typeof CAPTURES)[number];
type Risk = 'low' | 'medium' | 'high' | 'critical';

/** Spans of a text, as offsets in UTF-16 units; `end` is exclusive. */
type Spans = Iterable<[start: number, end: number]>;
/**
 * What to cut out: everything that `find` matches in a text, or in one string or number of a JSON text. `name` is a label of at most 32
 * characters. A `find` that throws cuts the whole text. `hint` is optional and cheap: false when `find` cannot match anywhere in a text.
 */
type Mask = {
    name: string;
    find: RegExp | ((text: string) => Spans);
    hint?: (text: string) => boolean;
};
/**
 * Secrets (keys of providers and clouds, private keys, JSON Web Tokens, authorization headers, passwords in URLs) and card numbers. A
 * secret that has no form of its own, as a password in a sentence, is not found.
 */
declare const defaultMasks: readonly Mask[];

/**
 * A log's key that is kept elsewhere. `vkey` is its verifier key (`name+id+base64`, Ed25519), whose name is the log's origin. `sign` resolves with the
 * 64-byte Ed25519 signature of `message`, or rejects; it is asked once for each append, while the log is locked, and what it answers is verified.
 */
interface Signer {
    readonly vkey: string;
    sign(message: Uint8Array): Promise<Uint8Array>;
}

/**
 * One key's time. `from`: its first entry, 0 or the index of the rotation to it. `to`: the index of the rotation to the next, absent while it is in
 * force. It may sign checkpoints of sizes above `from` (the first key: from 0) up to `to`. `last_good_size`: from there on it was reported stolen.
 */
interface KeyReign {
    readonly vkey: string;
    readonly from: number;
    readonly to?: number;
    readonly state: 'in_force' | 'retired' | 'compromised';
    readonly last_good_size?: number;
}

/** The properties of a log, in the order in which they are reported. */
declare const PROPERTIES: readonly ["unchanged", "complete", "payloads", "indexes", "not_truncated", "witnessed", "pinned", "time"];
type Property = (typeof PROPERTIES)[number];
type Status = 'proved' | 'asserted' | 'unknown' | 'failed';
interface PropertyVerdict {
    readonly status: Status;
    readonly says: string;
    readonly first_bad_index?: number;
}
/** One thing that does not fit. `code` is from the closed list of `FaultCode`. */
interface Problem {
    readonly property: Property;
    readonly code: string;
    readonly message: string;
    readonly index?: number;
}
/** `whole`: nothing failed. `problems` names at most 100 of what did; `problem_count` counts all. */
interface Verdict {
    readonly whole: boolean;
    readonly origin: string;
    readonly size: number;
    /** The first entries, so many, were proved before and not read again: nothing here speaks of their bytes or content. Then `counts` are of the sessions and payloads that were read. */
    readonly since?: number;
    readonly checkpoint: string;
    /** `recorded_at` of the last entry; absent in an empty log */
    readonly recorded_at?: string;
    /** The log's keys, one after the other, as its entries have them. */
    readonly keys: readonly KeyReign[];
    readonly properties: {
        readonly [name in Property]: PropertyVerdict;
    };
    readonly problems: readonly Problem[];
    readonly problem_count: number;
    readonly counts: {
        readonly entries: number;
        readonly payloads: number;
        readonly erased: number;
        readonly sessions: number;
        readonly ended: number;
        readonly open: number;
        readonly suspended: number;
        readonly interrupted: number;
        readonly gaps: number;
        readonly newer_entries: number;
        readonly unknown_vocabulary: number;
        readonly told_after: number;
        readonly imported: number;
    };
}

type BundleProperty = Exclude<Property, 'indexes'>;
/** As a log's verdict, of one session. `counts.withheld` are payloads that are not in the file and that no erasure accounts for. */
interface BundleVerdict extends Omit<Verdict, 'properties' | 'counts' | 'keys'> {
    readonly session_id: string;
    readonly keys: readonly string[];
    /** The log's keys one after the other, where the bundle has the entries that say so: it has them of a log that changed its key. */
    readonly reigns: readonly KeyReign[];
    readonly properties: {
        readonly [name in BundleProperty]: PropertyVerdict;
    };
    readonly counts: {
        readonly entries: number;
        readonly payloads: number;
        readonly withheld: number;
        readonly erased: number;
        readonly gaps: number;
        readonly newer_entries: number;
        readonly unknown_vocabulary: number;
    };
}

/**
 * Payloads of one event: all that it has, or the one in `slot`. Of a list what the event adds to it, or the element `position` of the whole list
 * as the event had it, or `all` of that.
 */
interface DisclosedPayload {
    readonly index: number;
    readonly slot?: string;
    readonly position?: number | 'all';
}
/** What of the session's content is disclosed: nothing, everything, or payloads of events. */
type Disclose = 'none' | 'all' | readonly DisclosedPayload[];
/** A payload that was asked for by an event that re-uses it, and stands in the bundle with the earlier one that brought it, `stands`. */
interface EarlierPayload {
    readonly index: number;
    readonly slot: string;
    readonly position?: number;
    readonly stands: number;
}
/** The JSON text, and what a verifier says of it. `missing` counts payloads that were to be disclosed and are not there any more. */
interface ExportedBundle {
    readonly json: string;
    readonly verdict: BundleVerdict;
    readonly missing: number;
    readonly earlier: readonly EarlierPayload[];
}

/** To whom content belongs: a person's id, several where it is of all of them at once, or null for nobody but the session. */
type Subject = string | readonly string[] | null;
/** Whatever model calls can be recorded to: a Trail or a Session. */
interface ModelCallSource {
    llm(call: never, run: never, read: never): Promise<unknown>;
}

/** Why a payload has no value here. */
type AbsentReason = 'erased' | 'masked' | 'withheld' | 'forbidden' | 'missing' | 'no_key';
/** A payload that is not there, and why: `erased` by entry `by`, `withheld` or `forbidden` by whoever shows it, `missing` (tampering), `no_key`. */
declare class Absent {
    readonly reason: AbsentReason;
    readonly by?: number;
    constructor(reason: AbsentReason, by?: number);
    toString(): string;
    toJSON(): {
        absent: AbsentReason;
        by?: number;
    };
}
/** A payload as read back: the value, or an Absent that says why not. `instanceof Absent` narrows. */
type Content<T> = T | Absent;
/** What every event read back has. */
interface ViewEnvelope {
    readonly index: number;
    readonly event_id: string;
    readonly event_type: string;
    readonly session_id: string;
    readonly seq: number;
    readonly writer: string;
    readonly stream: string | null;
    readonly stream_seq: number | null;
    readonly step_number: number;
    readonly parent_event_id: string | null;
    readonly timestamp: string;
    readonly recorded_at: string;
    readonly capture: Capture;
    readonly outcome: Outcome | null;
    readonly agent_id: string;
    readonly agent_version: string | null;
    readonly user_id: Content<string> | null;
    readonly model_id: string | null;
    readonly system_prompt_hash: string | null;
    /** base64 RFC 6962 leaf hash of the entry */
    readonly entry_hash: string;
}

/** Anything JSON can say; members that are undefined are left out, as `JSON.stringify` does. */
type Json = string | number | boolean | null | readonly Json[] | {
    readonly [key: string]: Json | undefined;
};
/** A JSON Schema, as tool definitions carry it. */
type JsonSchema = {
    readonly [key: string]: unknown;
};
/** The schema of an object, which is what the input of a tool must be. */
type ObjectSchema = JsonSchema & {
    readonly type: 'object';
};
/** Where an event belongs. All optional: by default the next step, this moment, no parent. `timestamp` is `YYYY-MM-DDTHH:MM:SS.sssZ`. */
interface Place {
    step_number?: number;
    parent_event_id?: string;
    timestamp?: string;
    /** The provider's id of a tool call, which joins a result to it. */
    call_id?: string;
    /** Whose content this is: a person's id, which `erase({ user_id })` finds; several where it is of all of them at once; null for nobody but the session. */
    subject?: Subject;
}
/** What can be recorded, by event type. */
interface EventInputs {
    llm_call: {
        provider: string;
        model_id: string;
        input_messages: readonly unknown[];
        system_prompt?: string;
        tool_definitions?: readonly unknown[];
        parameters?: Json;
    };
    llm_result: {
        output_text?: string;
        output?: readonly unknown[];
        tool_calls_requested?: readonly {
            name: string;
            input: unknown;
            call_id?: string;
        }[];
        stop_reason?: string;
        input_tokens?: number;
        output_tokens?: number;
        error?: unknown;
    };
    tool_call: {
        tool_name: string;
        tool_input: Json;
        risk?: Risk;
    };
    tool_result: {
        outcome: Outcome;
        tool_output?: Json;
        error?: unknown;
        execution_time_ms?: number;
    };
    reasoning: {
        text: string;
        kind?: 'model_reported' | 'author_stated';
    };
    policy_decision: {
        policy: string;
        decision: 'allow' | 'deny' | 'transform';
        reason?: string;
    };
    data_access: {
        source: string;
        reference?: string;
        record_count?: number;
        trust?: 'trusted' | 'untrusted';
    };
    sandbox_crossing: {
        kind: 'network' | 'file' | 'process';
        target: string;
        allowed: boolean;
    };
    state_snapshot: {
        state: Json;
    };
    handoff: {
        to_agent_id: string;
        instructions?: string;
    };
    config_change: {
        what: string;
        before?: Json;
        after?: Json;
    };
    error: {
        error: unknown;
        recoverable?: boolean;
    };
    final_output: {
        output: string;
    };
    /** An event of your own; `name` is a label. */
    custom: {
        name: string;
        content?: Json;
    };
}
/** What every event read back has, beside `event_type` and its own fields. */
type Envelope = Omit<ViewEnvelope, 'event_type'>;
/** Events that are only ever read: counterfoil records them itself. */
interface ReadOnlyEvents {
    session_start: {
        user_message: Content<string>;
    };
    session_end: {
        reason: string;
    };
    session_timeout: {
        reason: string;
    };
    gap: {
        count: number | null;
        cause: string;
    };
    erasure: {
        reason: Content<string>;
    };
}
type Readable = EventInputs & ReadOnlyEvents;
/** Every event type that can be read back. */
type EventType = keyof Readable | KnownType;
type Fields<K> = K extends keyof Readable ? {
    readonly [F in keyof Readable[K]]: Content<Readable[K][F]>;
} : K extends KnownType ? Facts<K> & {
    readonly [P in PayloadName<K>]?: Content<unknown>;
} : never;
/** An event as read back; narrows by `event_type`. A payload may be an Absent that says why it is not there. */
type AuditEvent<K extends EventType = EventType> = {
    [T in K]: Envelope & {
        readonly event_type: T;
    } & Fields<T>;
}[K];
/** A model call with its result: `llm_call` + `llm_result`. `answered: false` when there is no result on record. */
interface LLMCall extends Envelope {
    readonly event_type: 'llm_call';
    readonly input_messages: Content<readonly unknown[]>;
    readonly output_text: Content<string> | null;
    /** What the model asked for; one Absent when that is not there. */
    readonly tool_calls_requested: readonly unknown[];
    readonly input_tokens: number | null;
    readonly output_tokens: number | null;
    readonly latency_ms: number | null;
    readonly answered: boolean;
}
/**
 * An act with what came of it: `tool_call` + `tool_result` + its approval. A request that was never followed by the act is one too (its
 * event_id is the request's, `answered` is false). A decision that expired counts as rejected.
 */
interface ToolCall extends Envelope {
    readonly event_type: 'tool_call';
    readonly tool_name: string;
    readonly tool_input: Content<Json>;
    readonly tool_output: Content<Json> | null;
    readonly error: Content<string> | null;
    readonly execution_time_ms: number | null;
    readonly requires_approval: boolean;
    readonly approval_status: 'approved' | 'rejected' | 'pending' | null;
    readonly approver_id: Content<string> | null;
    readonly answered: boolean;
}
/** A row of the classic table: one per call, its result merged in; `content` is JSON text, `created_at` the time of recording. */
interface TrailRow {
    readonly event_id: string;
    readonly session_id: string;
    readonly agent_id: string;
    readonly timestamp: string;
    readonly event_type: string;
    readonly step_number: number;
    readonly content: string;
    readonly model_id: string | null;
    readonly system_prompt_hash: string | null;
    readonly created_at: string;
    /** where `content` says that something is not there (`{"absent": …}`) or is bytes (`{"base64": …}`), as JSON pointers; what has such a form elsewhere is content. Left out where there are none. */
    readonly marks?: readonly string[];
}
/** A session in a list. `steps` counts model and tool calls, `tools` tool calls by name. */
interface SessionSummary {
    readonly session_id: string;
    readonly agent_id: string;
    readonly user_id: Content<string> | null;
    readonly started_at: string;
    readonly ended_at: string | null;
    readonly state: 'open' | 'suspended' | 'interrupted' | 'ended';
    readonly outcome: Outcome | null;
    readonly events: number;
    readonly steps: number;
    readonly tools: Record<string, number>;
    readonly input_tokens: number;
    readonly output_tokens: number;
}

/** A person stopped the session: no act follows. */
declare class SessionStopped extends CounterfoilError {
    readonly session_id: string;
    constructor(session_id: string);
}

/**
 * How far an event has come. `accepted`: in this process's spool, survives every death of the process. `spooled`: the spool was fsynced.
 * `durable`: it has an index, fsynced, under a signed checkpoint. `witnessed`: a witness cosigned a checkpoint that covers it.
 */
type Level = 'accepted' | 'spooled' | 'durable' | 'witnessed';
/** What an append returns. `index`, `entry_hash` (base64) and `checkpoint` (a signed note) are there from level `durable` on. */
interface Receipt {
    readonly event_id: string;
    readonly level: Level;
    readonly index?: number;
    readonly entry_hash?: string;
    readonly checkpoint?: string;
}

/** Not a promise: nothing to forget to await, nothing that can become an unhandled rejection. */
interface Recorded {
    readonly event_id: string;
    /** Why the event could not even be accepted; absent when it was. */
    readonly problem?: CounterfoilError;
    /** Resolves when the event is in the log, fsynced, under a signed checkpoint. */
    durable(): Promise<Receipt>;
    /** Resolves when a witness has cosigned a checkpoint that covers the event. */
    witnessed(): Promise<Receipt>;
}

interface Action<In = unknown> {
    readonly tool_name: string;
    readonly tool_input: In;
    readonly risk?: Risk;
    readonly quorum?: number;
    readonly expires?: Date;
    readonly summary?: string;
    readonly subject?: Subject;
}
/** What the person who decides is given. `tool_input` is as it was recorded, before the tool's schema changes it. `action_digest` is the entry hash of the request on record: it covers tool, input, session and expiry. */
interface ApprovalRequest<In = unknown> extends Action<In> {
    readonly approval_id: string;
    readonly session_id: string;
    readonly user_id?: string;
    readonly reasoning: readonly string[];
    readonly action_digest: string;
    readonly signal: AbortSignal;
}
interface Approval$1 {
    readonly approval_id: string;
    readonly decision: 'approved' | 'rejected' | 'expired';
    readonly approver_id?: string;
    readonly comment?: string;
}
/** Others decide: people at a terminal (`counterfoil approvals`) or on a server, in their own time. */
type Others = 'others';
/** Asks a person. `assurance` says how we know who answered; default `asserted`. */
type Approver<In = unknown> = (request: ApprovalRequest<In>) => Promise<{
    decision: 'approved' | 'rejected';
    approver_id: string;
    comment?: string;
    assurance?: 'asserted' | 'terminal' | 'api_key' | 'oidc';
}>;
/** The act was not approved, and did not happen. */
declare class ApprovalDenied extends CounterfoilError {
    readonly approval: Approval$1;
    constructor(approval: Approval$1, tool_name: string);
}

/** `block`: no act without the level waited for. `buffer`: accepted in the spool is enough. `continue`: the act goes on even so, and is counted. */
type Failure = 'block' | 'buffer' | 'continue';

/** Who the agent is. All three names are labels. */
interface AgentFacts {
    readonly agent_id: string;
    readonly agent_version?: string;
    readonly model_id?: string;
    readonly system_prompt?: string;
}
interface SessionFacts extends Partial<AgentFacts> {
    readonly user_id?: string;
    readonly session_id?: string;
    readonly user_message?: string;
    readonly on_behalf_of?: string;
    readonly subject?: Subject;
    readonly tags?: Record<string, string>;
}
interface SessionEnd {
    readonly outcome?: Outcome;
    readonly reason?: string;
    readonly final_output?: string;
}

/** The Standard Schema interface (standardschema.dev, version 1): what zod, valibot and arktype schemas have. Only types. */
interface StandardSchema<Out> {
    readonly '~standard': {
        readonly version: 1;
        readonly vendor: string;
        readonly validate: (value: unknown) => unknown;
        readonly types?: {
            readonly input: unknown;
            readonly output: Out;
        } | undefined;
    };
}
/**
 * `subject` says of whom a call is: of its input, as it was recorded, gives whose the input, the output, errors, approvals and all recorded meanwhile are.
 * `approval`: who is asked before the tool runs, `true` for the trail's `approve`, `'others'` for people who decide elsewhere, `quorum` of them. `when` says which inputs it is needed for; all without.
 */
interface ToolPolicy<In = unknown> {
    readonly risk?: Risk;
    readonly subject?: (input: In) => Subject | undefined;
    readonly approval?: Approver<In> | Others | boolean;
    readonly when?: (input: In) => boolean;
    readonly quorum?: number;
}
interface ToolDefinition<In> extends ToolPolicy<In> {
    readonly name: string;
    readonly description?: string;
    readonly input?: StandardSchema<In>;
    readonly input_schema?: JsonSchema;
}
/** What is said of an SDK's tool. `name` is for a tool that does not know its own, as the AI SDK's, which is named by its key in `tools`. */
interface RunnablePolicy extends ToolPolicy {
    readonly name?: string;
}
/** What a tool's function is given beside its input and its session. `signal` is aborted when a person stops the session. */
interface CallContext {
    readonly call_id: string;
    readonly signal: AbortSignal;
    readonly approval?: Approval$1;
}
/** A tool on the record. Call it with an input, or give `run` what the model sent: it answers with content for the model and never throws for the tool's own errors. */
interface Tool<In, Out> {
    (input: In): Promise<Out>;
    readonly definition: {
        readonly name: string;
        readonly description: string;
        readonly input_schema: ObjectSchema;
    };
    run(input: unknown, call_id?: string): Promise<{
        content: string;
        is_error: boolean;
    }>;
}
/** A tool object of an SDK: Anthropic's `betaZodTool`, the AI SDK's `tool()`, OpenAI Agents' `tool()`. */
interface RunnableTool {
    readonly name?: string;
    run?: (...args: never[]) => unknown;
    execute?: (...args: never[]) => unknown;
}

/** How a value stands in a text. */
type Match = 'exact' | 'loose' | 'date' | 'date_without_year';

/** Who put a text into the record. `data` is what a `data_access` names, `human` an approver's comment or an intervention's note, `earlier_call` the input of a call that no model asked for. */
type SourceKind = 'user_message' | 'system_prompt' | 'tool_definition' | 'tool_answer' | 'data' | 'human' | 'author' | 'model' | 'earlier_call' | 'message';
/** As declared, never judged: a tool's answer and a data source are `untrusted` until a `data_access` declares them `trusted`. `unknown`: a message of a role we do not know. */
type Trust = 'user' | 'author' | 'human' | 'model' | 'trusted' | 'untrusted' | 'unknown';
/** Where a value stands in the record. */
interface Source {
    readonly index: number;
    readonly event_id: string;
    readonly event_type: string;
    /** another session than the act's: the parent's */
    readonly session_id: string;
    readonly kind: SourceKind;
    readonly trust: Trust;
    /** the tool that answered, the tool defined, the data source, a foreign role; else null */
    readonly name: string | null;
    /** position in the list of messages sent, from 0, when the text is one of those; else null */
    readonly message: number | null;
    readonly match: Match;
    /** in UTF-16 units in the text; a JSON value counts as written without escapes */
    readonly offset: number;
    readonly length: number;
    /** the text around, at most 160 characters and whole if it fits; from `context_offset` of the text */
    readonly context: string;
    readonly context_offset: number;
    readonly context_whole: boolean;
    /** the text is a JSON value, and `context` is all of it as JSON */
    readonly context_json: boolean;
}
/**
 * `traced`: found whole. `partly`: a long text of which parts were found. `nowhere`: everything before the act was asked for is there to
 * read, and it is in none of that: if `as_asked`, the model's own or written in another form. `unknown`: found in nothing that can be read,
 * and not everything can. `untraced`: not looked for, `reason` says why.
 */
type ValueStatus = 'traced' | 'partly' | 'nowhere' | 'unknown' | 'untraced';
/** A sentence or an identifier inside a long text. */
interface Part {
    readonly kind: 'sentence' | 'identifier';
    readonly text: string;
    readonly offset: number;
    readonly source: Source | null;
}
/** One leaf of the act's input. */
interface Value {
    /** `order_id`, `flights[0].date`; empty for an input that is itself a leaf */
    readonly path: string;
    /** strings at most 400 characters; `characters` is the length of the whole */
    readonly value: string | number | boolean | null;
    readonly characters: number;
    readonly status: ValueStatus;
    readonly reason: 'too_short' | 'no_letter_or_digit' | 'boolean' | 'null' | 'absent' | 'not_a_plain_number' | 'masked' | null;
    /** everything that could hold it was looked at: of a value found, everything before `source`. If not, `source` is the first that can be read */
    readonly complete: boolean;
    /** first appearance: in the value's own spelling if there is one, else in another */
    readonly source: Source | null;
    /** an appearance before `source`, in another spelling */
    readonly earlier: Source | null;
    /** where `source` is the model's own words, an earlier call's input or a tool's definition: the first appearance, in any spelling, in anybody else's words; null if that is `earlier` */
    readonly outside: Source | null;
    readonly parts: readonly Part[];
    /** the model asked for another value here, or for none: it was changed between the request and the act. Null when no request is on record. */
    readonly as_asked: boolean | null;
}
/** The answer of a model that asked for this act. */
interface AskedFor {
    readonly index: number;
    readonly event_id: string;
    /** the call it answers; null when that is not on record */
    readonly call_index: number | null;
    readonly model_id: string | null;
    /** what links them: named by the recorder, or as the act's parent; the provider's call id; the same tool with the same input; the same text */
    readonly by: 'requested_by' | 'parent' | 'call_id' | 'name_and_input' | 'output';
    /** whether the act's input is the one asked for; null when one of them cannot be read */
    readonly same_input: boolean | null;
    /** what the model wrote beside the request; null if nothing */
    readonly said: string | null;
    /** why what it asked for or wrote cannot be read, as `[erased by #9]`; null if it can */
    readonly absent: string | null;
}
/** An answer of a model that may have asked for the act, and why that cannot be read. */
interface UnreadAnswer {
    readonly index: number;
    readonly absent: string;
}
interface Reasoning {
    readonly index: number;
    readonly by: 'model' | 'author';
    readonly form: 'full' | 'summarised' | 'encrypted' | 'withheld' | null;
    /** null when there is none to read; `absent` says why */
    readonly text: string | null;
    readonly absent: string | null;
}
/** The system prompt that the act stood under, and where it changed since the session began. */
interface Prompt {
    readonly hash: string | null;
    readonly fingerprint: string | null;
    readonly since_index: number;
    readonly first_index: number;
    readonly changes: readonly {
        readonly index: number;
        readonly event_type: string;
    }[];
    /** why its text cannot be read; null if it can, or only its hash is on record */
    readonly absent: string | null;
    /** each prompt stated could be compared with the one before it; if not, there may be more changes */
    readonly compared: boolean;
}
interface Rule {
    readonly index: number;
    readonly policy: string;
    readonly version: string | null;
    readonly decision: string;
    readonly reason: string | null;
}
interface Decision {
    readonly index: number;
    readonly decision: string;
    /** who, as the record names them; null when that cannot be read */
    readonly who: string | null;
    readonly assurance: string | null;
    readonly time_to_decide_ms: number | null;
    readonly comment: string | null;
    /** why who decided, or the comment, cannot be read; null if they can */
    readonly absent: string | null;
    /** whether the approver is the user the session works for; null when that cannot be told */
    readonly is_requester: boolean | null;
}
/** `none_asked`: no approval needed or asked for. `required_missing`: the act says it needs one and none is on record. */
interface Approval {
    readonly status: 'approved' | 'rejected' | 'expired' | 'pending' | 'none_asked' | 'required_missing';
    readonly request_index: number | null;
    readonly shown: string | null;
    readonly quorum: number | null;
    /** whether the act's input is what was put before the approver; null when it cannot be told */
    readonly same_input: boolean | null;
    /** why that cannot be told; null if it can */
    readonly absent: string | null;
    readonly decisions: readonly Decision[];
}
interface Happened {
    readonly index: number;
    readonly outcome: string | null;
    readonly time_ms: number | null;
    readonly error_type: string | null;
    readonly error: string | null;
    /** at most 160 characters of what came back */
    readonly answer: string | null;
    /** why what came back cannot be read; null if it can */
    readonly absent: string | null;
    /** other results on record for the same act */
    readonly more: readonly number[];
}
interface Unknown {
    readonly text: string;
    readonly index: number | null;
}
/**
 * What an event that is no act has to do with acts. `act_index` is the act that a result or an approval belongs to, else the one nearest to
 * ask about. `explained`: what is said beside this is about that act.
 */
interface About {
    readonly says: string;
    readonly act_index: number | null;
    readonly act_event_id: string | null;
    readonly explained: boolean;
}
/** What the record says about one act. */
interface Why {
    readonly event: {
        readonly index: number;
        readonly event_id: string;
        readonly session_id: string;
        readonly event_type: string;
        readonly tool_name: string | null;
        readonly call_id: string | null;
        /** a JSON value, or an Absent, which in JSON is `{"absent": reason}` */
        readonly input: unknown;
        readonly risk: Risk | null;
        readonly timestamp: string;
        /** since the session's first event on hand */
        readonly elapsed_ms: number | null;
    };
    /** null where the event is an act */
    readonly about: About | null;
    readonly asked_for: AskedFor | null;
    /** while no firm link says who asked: the answers that may have */
    readonly unread_answers: readonly UnreadAnswer[];
    readonly reasoning: readonly Reasoning[];
    readonly values: readonly Value[];
    readonly prompt: Prompt | null;
    readonly rules: readonly Rule[];
    readonly approval: Approval;
    readonly happened: Happened | null;
    readonly not_known: readonly Unknown[];
}

declare const SEVERITIES: readonly ["info", "low", "medium", "high", "critical"];
type Severity = (typeof SEVERITIES)[number];

/** Results that are read as they are asked for. Iterate them, or take a page, the first, all, or only their count. */
interface Results<T> extends AsyncIterable<T> {
    /** At most `size` items (default 100, at most 1,000) after `cursor`, and the cursor of the next page. */
    page(options?: {
        readonly size?: number;
        readonly cursor?: string;
    }): Promise<{
        items: T[];
        next: string | null;
    }>;
    first(): Promise<T | undefined>;
    all(): Promise<T[]>;
    count(): Promise<number>;
}

/** Something that a rule noticed in a session, or that the ledger refused. It says what stands in the record, and never that an act was wrong. */
interface Finding {
    readonly event_id: string;
    readonly session_id: string;
    readonly rule: string;
    readonly severity: Severity;
    /** Event ids: what it is about, then what else one looks at. */
    readonly events: readonly string[];
    readonly explanation: Content<string>;
    /** When the event came at which it was noticed. */
    readonly timestamp: string;
    /** The entry that it is on record with; null where nobody has put it there. */
    readonly index: number | null;
}

/** What a tool's function is given beside its input. */
interface ToolContext extends CallContext {
    readonly session: Session;
}
interface TrailOptions extends Partial<AgentFacts> {
    /** The state folder where keys lie; default `$COUNTERFOIL_HOME`, then the user's state folder. */
    readonly home?: string;
    /**
     * Of a trail in a file, the passphrase that the keys are under, if they are; of a log that begins, the one to put them under. Default `$COUNTERFOIL_PASSPHRASE`.
     * Of a server, the key that it knows this agent or person by. Default `$COUNTERFOIL_KEY`.
     */
    readonly key?: string;
    /** The module that signs, where the log's key is kept elsewhere: its default export is a `Signer`, or a function from the log's origin to one. Default `$COUNTERFOIL_SIGNER`. */
    readonly signer?: string | URL;
    /** The folder of spools; default `<path>.spool`, of a server one in the state folder. */
    readonly spool?: string;
    /** The most that may wait for the log, in bytes; default 1 GiB, at least 1 MiB. At this bound nothing is accepted, as on a full disk; from half of it on, acts wait. */
    readonly backlog?: number;
    /** What is cut out of payloads before anything is hashed; default secrets and card numbers. `[]` masks nothing. */
    readonly mask?: readonly Mask[];
    /** What an act of each risk waits for before it happens; default `durable`; with a server `durable` for high and critical, `spooled` below. */
    readonly wait?: Partial<Record<Risk, Level>>;
    /** What happens to an act of each risk when the log cannot take its intent; default `block` for high and critical, `buffer` below. */
    readonly failure?: Partial<Record<Risk, Failure>>;
    /** How long an act waits for a log in which nothing moves, in milliseconds; then `failure` decides. Default 30,000. */
    readonly patience?: number;
    /** The path of a C2SP tlog-policy: its witnesses are asked while the trail is open. Without it nothing becomes `witnessed`. */
    readonly witness?: string;
    /** With a server: why content is read. It is put on record there, and asked for of persons. */
    readonly purpose?: string;
    /** With a server: how much of payloads to read; default `none`, with a purpose `full`. */
    readonly content?: 'none' | 'masked' | 'full';
    /** With a server: true allows http to another machine, where the network itself is trusted. Default `$COUNTERFOIL_INSECURE` = 1. */
    readonly insecure?: boolean;
    /** Who is asked when a tool or `approval()` names nobody; `'others'`: people who decide elsewhere (`counterfoil approvals`, a server), and whose answers are waited for. */
    readonly approve?: Approver | Others;
    /** Told of failures that nobody awaited, once per cause; default: one line on stderr. */
    readonly report?: (problem: CounterfoilError) => void;
}
/** What can be recorded into: a Session, or a Trail (then: the session of this async context). */
interface Recorder extends ModelCallSource {
    /** Records an event and returns at once. Its arguments are read before it returns. Throws a TypeError for what is not in the vocabulary. */
    record<K extends keyof EventInputs>(event_type: K, event: EventInputs[K] & Place): Recorded;
    /** The classic `log()`: a type of ours when the content fits it, else a `custom` event. */
    log(name: string, content: Json, step_number?: number): Recorded;
    /** A model call told by hand: recorded before `run` begins and after it ended. */
    llm<R>(call: EventInputs['llm_call'] & Place, run: () => Promise<R>, read: (result: Awaited<R>) => EventInputs['llm_result']): Promise<R>;
    /** Runs `fn` with everything recorded meanwhile said to be of `subject`: model calls, events, tools, sessions begun in it. That of a session makes it the current one. */
    about<R>(subject: Subject, fn: () => R): R;
    /** A tool on the record: durable intent, approval where the policy asks for one, the act, its result. */
    tool<In, Out>(definition: ToolDefinition<In>, run: (input: In, context: ToolContext) => Out | Promise<Out>): Tool<In, Out>;
    /** An SDK's tool object, on the record; everything else about it is as it was. */
    tool<T extends RunnableTool>(tool: T, policy?: RunnablePolicy): T;
    /** Puts an action before a person and resolves with the answer, which is durable then. */
    approval(action: Action): Promise<Approval$1>;
}
interface EventQuery<K> {
    readonly session_id?: string;
    readonly event_type?: K | readonly K[];
    readonly tool_name?: string;
    readonly agent_id?: string;
    readonly user_id?: string;
    readonly outcome?: Outcome;
    readonly since?: Date;
    readonly until?: Date;
    readonly text?: string;
}
/** With a `session_id` one session is looked up. `user_id` is whom it is for, `subject` anybody of whom it has content. */
interface SessionQuery {
    readonly session_id?: string;
    readonly agent_id?: string;
    readonly user_id?: string;
    readonly subject?: string;
    readonly outcome?: Outcome;
    readonly since?: Date;
    readonly until?: Date;
    readonly open?: boolean;
    readonly text?: string;
}
/** `severity`: at least so severe. */
interface FindingQuery {
    readonly session_id?: string;
    readonly agent_id?: string;
    readonly rule?: string;
    readonly severity?: Finding['severity'];
    readonly since?: Date;
    readonly until?: Date;
}
interface VerifyOptions {
    readonly require?: readonly Property[];
}
/** `disclose` is `'none'` by default: no content goes out unasked. `witnesses` are verifier keys, whose cosignatures go along. */
interface ExportOrder {
    readonly session_id: string;
    readonly disclose?: Disclose;
    readonly witnesses?: readonly string[];
}
/** A failure that was reported. `timestamp` is when it came last. */
interface TrailProblem {
    readonly code: string;
    readonly message: string;
    readonly next: string;
    readonly timestamp: string;
}
/** What a trail is at, as far as this process knows. Nothing is read for it: it may be asked for at any time. */
interface TrailStatus {
    readonly origin: string;
    /** Entries in the log. */
    readonly size: number;
    /** Events accepted since it was opened. */
    readonly accepted: number;
    /** Bytes and events that are accepted and not in the log yet. */
    readonly spooled: number;
    readonly waiting: number;
    /** For how long the oldest of them waits, in milliseconds; 0 when none does. */
    readonly oldest_ms: number;
    /** The bound: at this many bytes nothing more is accepted. */
    readonly backlog: number;
    /** Bytes in spools of processes that are gone, as they were when the log was opened; they count against the bound. */
    readonly left: number;
    /** Events that could not be accepted, or were accepted and lost with a spool that somebody removed. */
    readonly lost: number;
    /** The last failure, of whatever kind; null without any. */
    readonly problem: TrailProblem | null;
    readonly last_checkpoint: string | null;
    /** How many entries the policy's witnesses have seen, null without any. */
    readonly witnessed: number | null;
}
interface Trail extends Recorder, AsyncDisposable {
    /** Where the log is: a path, or the URL of a server. */
    readonly path: string;
    /** Resolves when the log is open; rejects with what is wrong with it. */
    ready(): Promise<void>;
    /** Runs `run` in a new session and ends it; an error is recorded and thrown on. */
    session<R>(facts: SessionFacts, run: (session: Session) => R | Promise<R>): Promise<R>;
    /** A new session, to be ended by `end()` or `await using`. */
    start(facts: SessionFacts): Promise<Session>;
    /** Takes up a session that this or another process began. */
    resume(session_id: string): Promise<Session>;
    sessions(query?: SessionQuery): Results<SessionSummary>;
    events<K extends EventType = EventType>(query?: EventQuery<K>): Results<AuditEvent<K>>;
    calls(query?: EventQuery<'llm_call' | 'tool_call'>): Results<LLMCall | ToolCall>;
    /**
     * What the rules notice, with what the ledger refused. Of a file: as it is read, each session when it is come to, the newest first. Of a server: what it put
     * on record, in the order of the log; the key needs the permission `findings`.
     */
    findings(query?: FindingQuery): Results<Finding>;
    /** Checks the whole log. With `require`, a property that is not proved makes it throw a VerifyError. */
    verify(options?: VerifyOptions): Promise<Verdict>;
    /**
     * Where an act came from, also out of the sessions that its session came from. Without an id: of the newest 200 sessions the last act of risk high or
     * above, done or only asked for, else the last tool call; undefined when there is none.
     */
    why(event_id?: string): Promise<Why | undefined>;
    /** Proof that an event is in the log, for whoever has the entry and the log's verifier key: a C2SP `tlog-proof` text. */
    prove(event_id: string): Promise<string>;
    /** One session's evidence as the JSON text of a bundle, for `verifyBundle` of `counterfoil/verify`, and for `evidencePage` of `counterfoil/page`, which makes the page of it. */
    export(order: ExportOrder): Promise<ExportedBundle>;
    /**
     * Destroys the content of a session with its child sessions; of a person, wherever it is said to be theirs (`user_id`); or of a person in one
     * session and its child sessions. Proofs go on verifying.
     */
    erase(what: {
        readonly session_id: string;
        readonly subject?: string;
    } | {
        readonly user_id: string;
    }, why: {
        readonly reason: string;
        readonly legal_basis?: string;
        readonly actor?: string;
    }): Promise<Receipt>;
    /** Resolves when everything accepted so far has reached `level` (default durable). */
    flush(level?: Level): Promise<void>;
    status(): TrailStatus;
    /** Puts what was accepted into the log and closes it. */
    close(): Promise<void>;
}
interface Session extends Recorder, AsyncDisposable {
    readonly session_id: string;
    /** Aborted within a second when a person stops the session, from wherever. */
    readonly signal: AbortSignal;
    readonly user_id: string | undefined;
    /** Makes it the current session of this async context while `fn` runs. */
    run<R>(fn: () => R): R;
    /** Hands work to another agent: a child session, ended when `run` is done. */
    agent<R>(facts: AgentFacts & {
        readonly instructions?: string;
        readonly subject?: Subject;
    }, run: (child: Session) => R | Promise<R>): Promise<R>;
    /** A person steps in. */
    intervene(kind: 'stop' | 'override' | 'edit' | 'takeover', note: {
        readonly actor: string;
        readonly note?: string;
    }): Recorded;
    /** Lays the session down, for `trail.resume(session_id)`. */
    suspend(reason?: string): Promise<Receipt>;
    /** Ends the session, once. Resolves when the end, and with it all before, is durable. */
    end(end?: SessionEnd): Promise<Receipt>;
    /** The classic `get_session_trail()`: oldest first, one row per call. */
    trail(): Promise<TrailRow[]>;
}

/** The session of this async context, if there is one. */
declare function currentSession(): Session | undefined;
/**
 * Opens the trail at `where`: a path, a `file:` URL, `':memory:'`, or the URL of a server; without it `$COUNTERFOIL_URL`, `$COUNTERFOIL_DB`, then
 * `./agent_audit.db`. A log that is not there is begun. Synchronous: throws at once for what can be known at once (no such folder, bad options);
 * `ready()` for the rest.
 */
declare function openTrail(where?: string | URL, options?: TrailOptions): Trail;

interface Tokens {
    readonly input?: number | null;
    readonly output?: number | null;
}
/**
 * Drop-in for the classic logger. Recording is synchronous and returns the event's id; the session begins with the instance and ends with `close()`, or
 * stays open for `trail.resume`.
 */
declare class AgentAuditTrail implements AsyncDisposable {
    #private;
    readonly session_id: string;
    /** SHA-256 of the system prompt in hex; of the empty string when there is none. */
    readonly system_prompt_hash: string;
    constructor(db_path?: string, agent_id?: string | null, model_id?: string | null, system_prompt?: string | null);
    /** An event of any name; content of one of our types is recorded as that type. */
    log(event_type: string, content: Json, step_number?: number | null): string;
    /** A model call that has happened. */
    logLlmCall(messages: readonly unknown[] | null, response_text: string | null, tool_calls: readonly unknown[] | null, tokens?: Tokens | null, step?: number | null): string;
    /** A tool call that has happened; `error` is its message, null when it succeeded. */
    logToolCall(tool_name: string, tool_input: Json, tool_output: unknown, error?: string | null, step?: number | null): string;
    /** The session's rows, oldest first, as `SELECT * FROM audit_events WHERE session_id = ? ORDER BY timestamp` gave them. */
    getSessionTrail(): Promise<TrailRow[]>;
    /** Ends the session and closes the trail. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}

export { Absent, AgentAuditTrail, ApprovalDenied, CounterfoilError, MisuseError, RemoteError, SessionStopped, StoreError, VerifyError, currentSession, defaultMasks, openTrail };
export type { AbsentReason, Action, AgentFacts, Approval$1 as Approval, ApprovalRequest, Approver, AuditEvent, Content, Disclose, DisclosedPayload, EarlierPayload, Envelope, EventInputs, EventQuery, EventType, ExportOrder, ExportedBundle, Failure, Finding, FindingQuery, Json, JsonSchema, KeyReign, LLMCall, Level, Mask, ObjectSchema, Outcome, Place, Problem, Property, PropertyVerdict, ReadOnlyEvents, Receipt, Recorded, Recorder, Results, Risk, RunnablePolicy, RunnableTool, Session, SessionEnd, SessionFacts, SessionQuery, SessionSummary, Signer, StandardSchema, Subject, Tool, ToolCall, ToolContext, ToolDefinition, ToolPolicy, Trail, TrailOptions, TrailProblem, TrailRow, TrailStatus, Verdict, VerifyOptions, Why };
