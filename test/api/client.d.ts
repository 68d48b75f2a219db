/** The base of every error that is not misuse: a stable `code`, and `next`, what an operator does about it. */
declare class CounterfoilError extends Error {
    readonly code: string;
    readonly next: string;
    constructor(code: string, message: string, next: string, options?: {
        cause?: unknown;
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
/** The caller's mistake: `expected` against `got`, and the next step. A TypeError, so that it is never taken for a failing disk. */
declare class MisuseError extends TypeError {
    readonly code: string;
    readonly next: string;
    constructor(code: string, message: string, next: string);
}

/** An event in its author's words: `event_type`, `session_id` and the fields of its type (docs/recording.md); also `session_start` and `session_end`. */
interface EventInput {
    readonly event_type: string;
    readonly session_id: string;
    readonly event_id?: string;
    readonly [field: string]: unknown;
}
/** An event on record: where, and under which signed checkpoint. */
interface AppendReceipt {
    readonly event_id: string;
    readonly level: 'durable';
    readonly index: number;
    readonly entry_hash: string;
    readonly checkpoint: string;
}
interface ClientOptions {
    /** The key that the server knows this agent by. */
    readonly key: string;
    /** How long a request is tried again while the server is away, in milliseconds. Default 30,000. */
    readonly patience?: number;
    /** True allows http to another machine, where the network itself is trusted. */
    readonly insecure?: boolean;
    /** Default: the platform's. */
    readonly fetch?: typeof fetch;
}
/** One session, so that its id need not be said again. */
interface ClientSession {
    readonly session_id: string;
    /** As the client's, of this session. */
    append(events: SessionEvent | readonly SessionEvent[]): Promise<AppendReceipt[]>;
    /** Ends it, once; again it gives the first receipt. */
    end(end?: {
        readonly outcome?: string;
        readonly reason?: string;
        readonly final_output?: string;
    }): Promise<AppendReceipt>;
}
interface SessionEvent {
    readonly event_type: string;
    readonly event_id?: string;
    readonly [field: string]: unknown;
}
interface Client {
    readonly url: string;
    /**
     * Puts events on record, in order. Resolves when they are durable, one receipt each. Rejects with a RemoteError when one is malformed, and then none is
     * stored; with EventsRefused when the log refused some, and the others are on record; when the server is away for `patience`: append the same objects
     * again then, they are the same events.
     */
    append(events: EventInput | readonly EventInput[]): Promise<AppendReceipt[]>;
    /** Begins a session: agent_id, and what else `trail.start()` takes. */
    start(facts: {
        readonly agent_id: string;
        readonly session_id?: string;
        readonly [field: string]: unknown;
    }): Promise<ClientSession>;
}
/** The log refused some of the events; the others are on record. */
declare class EventsRefused extends RemoteError {
    readonly refused: readonly {
        readonly event_id: string;
        readonly code: string;
        readonly message: string;
        readonly next: string;
    }[];
    readonly receipts: readonly AppendReceipt[];
    constructor(refused: EventsRefused['refused'], receipts: readonly AppendReceipt[]);
}
/** A client of the server at `url`. Throws a MisuseError for what is no https URL, or no key. */
declare function connect(url: string | URL, { key, patience, insecure, fetch }: ClientOptions): Client;

export { CounterfoilError, EventsRefused, MisuseError, RemoteError, connect };
export type { AppendReceipt, Client, ClientOptions, ClientSession, EventInput, SessionEvent };
