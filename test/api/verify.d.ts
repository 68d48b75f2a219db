/** A SHA-256 hash: 32 bytes, never changed after it was made. */
type Hash = Uint8Array;
/** SHA-256(0x00 ‖ entry): the Merkle leaf of an entry's exact bytes. */
declare function leafHash(entry: Uint8Array): Hash;

/** A key that is trusted. `verify` gets the text's UTF-8 bytes and never throws. */
interface NoteVerifier {
    readonly name: string;
    readonly keyId: number;
    verify(message: Uint8Array, signature: Uint8Array): boolean;
}
/** A verifier key, `name+hex(key id)+base64(type ‖ public key)`. */
interface VerifierKey {
    readonly name: string;
    readonly keyId: number;
    /** The signature type byte: ED25519, COSIGNATURE_ED25519 or one we do not know. */
    readonly type: number;
    readonly publicKey: Uint8Array;
}
/** Verifies `0x01` signatures, over the note text itself. Throws a MisuseError for a key of another type, length or small order. */
declare function ed25519Verifier(vkey: string | VerifierKey): NoteVerifier;

/** What a checkpoint says, believed or not. `size` is a safe integer from 0, `root` 32 bytes. */
interface TreeHead {
    readonly origin: string;
    readonly size: number;
    readonly root: Hash;
    /** Lines after the root, mostly none. */
    readonly extensions?: readonly string[];
}
/** A witness's cosignature that was verified. `time` is the witness's, in seconds since 1970. */
interface Cosigned {
    readonly name: string;
    readonly keyId: number;
    readonly time: number;
}
declare const checked: unique symbol;
/** A tree head whose log signature was verified. Only `openCheckpoint` makes one. */
interface Checkpoint extends TreeHead {
    readonly [checked]: true;
    /** The verified cosignatures, one a witness. */
    readonly cosignatures: readonly Cosigned[];
}
/** Who may have signed. */
interface CheckpointTrust {
    /** The origin the checkpoint MUST have. Without it, it must be the name of a log key that signed, as C2SP recommends to logs. */
    readonly origin?: string;
    /** Witnesses' verifiers (`cosignatureVerifier`): they never stand in for the log, and a false cosignature refuses the whole. */
    readonly cosigners?: readonly NoteVerifier[];
}
/**
 * The checkpoint of a note that one of the log's `verifiers` signed. VerifyErrors as `openNote`, and `checkpoint_malformed` for a
 * signed text that is no checkpoint, `checkpoint_origin` for one of another log, `note_unverified` when only witnesses signed.
 */
declare function openCheckpoint(note: string | Uint8Array, verifiers: readonly NoteVerifier[], trust?: CheckpointTrust): Checkpoint;

interface PolicyLog {
    readonly vkey: string;
    readonly url?: string;
    readonly verifier: NoteVerifier;
}
interface PolicyWitness extends PolicyLog {
    readonly name: string;
}
/** A group: at least `k` of its members, which are names of witnesses and groups. */
interface PolicyGroup {
    readonly name: string;
    readonly k: number;
    readonly members: readonly string[];
}
interface Policy {
    readonly logs: readonly PolicyLog[];
    readonly witnesses: readonly PolicyWitness[];
    readonly groups: readonly PolicyGroup[];
    /** The name of a witness or group, or `none`. */
    readonly quorum: string;
    /** Who runs which witnesses, by name. */
    readonly organisations: ReadonlyMap<string, readonly string[]>;
    /** How many organisations must have cosigned; 0 unless said. */
    readonly minOrganisations: number;
}
/** The policy in `text`; a MisuseError `policy_malformed` names the line. */
declare function parsePolicy(text: string): Policy;

/** Outcomes an event may carry in its envelope. */
declare const OUTCOMES: readonly ["success", "failure", "denied", "timeout", "unknown"];
type Outcome = (typeof OUTCOMES)[number];
/** When an event was told: before the act, after it, or read from somebody else's record. */
declare const CAPTURES: readonly ["before", "after", "imported"];
type Capture = (typeof CAPTURES)[number];

/** How a payload's bytes are to be read. */
type Media = 'json' | 'text' | 'bytes';

/** Names one payload: its commitment (base64), how to read it, its scope (absent: 0), and the masks that cut something out. */
interface Ref {
    readonly c: string;
    readonly m: Media;
    readonly k?: number;
    readonly masked?: readonly string[];
}
/** The payload of the same name in entry `same` (a seq of this session). */
interface SameRef {
    readonly same: number;
}
/** A list as a change; `root` is the RFC 6962 tree hash over the `count` commitments (32 bytes each) in order. */
interface ListChange {
    readonly base?: number;
    readonly keep?: number;
    readonly add: readonly Ref[];
    readonly count: number;
    readonly root: string;
}
type Slot = Ref | SameRef | ListChange;
/** A parsed entry. Field order here is for readers; the bytes are RFC 8785. */
interface Entry {
    readonly v: 1;
    readonly index: number;
    readonly event_id: string;
    readonly event_type: string;
    readonly session_id: string;
    readonly seq: number;
    readonly prev: string;
    readonly writer: string;
    readonly stream?: string;
    readonly stream_seq?: number;
    readonly timestamp: string;
    readonly recorded_at: string;
    readonly parent_event_id?: string;
    readonly step_number?: number;
    readonly capture: Capture;
    readonly outcome?: Outcome;
    readonly facts: {
        readonly [name: string]: FactValue;
    };
    readonly payloads: {
        readonly [name: string]: Slot;
    };
}
type FactValue = string | number | boolean | readonly string[] | {
    readonly [ref: string]: number;
};

/**
 * What this machine wrote down when it restored the log: when, out of what, and how many entries it had signed before, if any. `sealed`: scopes
 * whose first content is at an index from the first to before the second were restored from an archive without their secrets.
 */
interface Restored {
    readonly at: string;
    readonly from: 'backup' | 'archive';
    readonly size: number;
    readonly signed?: number;
    readonly sealed?: readonly [from: number, to: number];
}

/** A payload's bytes with the salt (32 bytes) of its commitment; or why they are not there. */
type Disclosed = {
    readonly bytes: Uint8Array;
    readonly salt: Uint8Array;
}
/** no secret for its scope: erased, or lost */
 | {
    readonly absent: 'no_scope';
}
/** the content is there, and its secret is said to have been left behind when the log was restored */
 | {
    readonly absent: 'sealed';
}
/** the secret is there and the content is not */
 | {
    readonly absent: 'missing';
} | {
    readonly absent: 'damaged';
    readonly why: string;
};
/** A fault that the evidence's own layer found: a segment that does not open, an index row that is wrong. */
interface Fault {
    readonly code: string;
    readonly message: string;
    readonly index?: number;
}
/** What was read of a page of the log: its bounds, and which of its entries are followed. */
interface Followed {
    readonly from: number;
    readonly to: number;
    readonly own: ReadonlySet<number>;
}
/** What checking the sealed bytes of some entries found, and counts that only mean something of the whole log. Plain data: it may come from another thread. */
interface VaultFindings {
    readonly faults: readonly Fault[];
    readonly counts: {
        readonly [what: string]: number;
    };
}
/** Sealed content and what leads to it. One for all of a log, or one for each part of its sessions. */
interface Vault {
    /** Whether there are keys to open it with. */
    readonly opened: boolean;
    /** Takes the entries of a page, ascending, each once: the payloads of each one's own refs in the order of `ownRefs`, or undefined without keys. `page.own` are those that are there, also where they do not parse. After an error they may be given again, one by one. */
    follow(entries: readonly Entry[], page: Followed): Promise<readonly (readonly Disclosed[])[] | undefined>;
    /** Scopes whose secret is there, as `<session id>/<k>`. */
    scopes(): Promise<ReadonlySet<string>>;
    /** SHA-256 of each segment of a session, in the order of sealing. */
    segmentHashes(session_id: string): Promise<readonly Hash[]>;
    /** After all entries: checks every segment (with keys: opens it) and every derived row of the vault, of the sessions of this part, and says what does not fit. Codes of what concerns sealed bytes begin with `segment` or `secret`. */
    findings(progress: (done: number) => void): Promise<VaultFindings>;
    /** The findings of all parts together, and what only they show. */
    faults(findings: readonly VaultFindings[]): Promise<readonly Fault[]>;
}
interface Evidence {
    readonly origin: string;
    /** The newest checkpoint as stored, a signed note, with the size that the store says it has. */
    readonly head: {
        readonly note: string;
        readonly size: number;
    };
    /** The log's verifier key (`name+id+base64`), and whether it comes from outside the evidence; `given`: from whoever verifies, not from this machine's keys. */
    readonly vkey: {
        readonly text: string;
        readonly pinned: boolean;
        readonly given?: boolean;
    };
    /** Every key that this machine has of the log, the one in force first: a copy from before a rotation, and a checkpoint from after it, are opened with them. */
    readonly own?: readonly string[];
    /** Checkpoints that this machine saw before: the newest that its key signed, the last that it proved, and the one that it restored the log with. */
    readonly remembered: readonly {
        readonly note: string;
        readonly what: 'signed' | 'proved' | 'restored';
    }[];
    /** What this machine noted when it restored the log; unchecked, and only used to say what an older log is. */
    readonly restored?: Restored;
    /** This is a copy made at some moment, which may be older than what is remembered. Absent for the log itself. */
    readonly copy?: 'archive' | 'backup';
    /** A checkpoint that witnesses cosigned, with their signatures; read where a policy is given. */
    readonly cosigned?: string;
    /** Ascending by index; rows that are missing are left out. */
    entries(from: number, to: number): Promise<readonly {
        readonly index: number;
        readonly entry: Uint8Array;
    }[]>;
    /** The same as texts, which is cheaper to check, where every one of them is ASCII; else undefined. */
    readonly texts?: (from: number, to: number) => Promise<readonly {
        readonly index: number;
        readonly entry: string;
    }[] | undefined>;
    /** The entries of a session before index `before`, ascending by seq; needed to go on from a size that was proved. They are checked by the hashes that later entries name. */
    readonly earlier?: (session_id: string, before: number) => AsyncIterable<{
        readonly index: number;
        readonly entry: Uint8Array;
    }>;
    /** The first index from `from` on that has an entry. */
    next(from: number): Promise<number | undefined>;
    /**
     * Entries beyond `size` (code `entries_extra`), and everything else that a log of that size does not account for. `partialTile` gives what the last
     * tile of a level must be; absent where entries are missing, so that there is no tree. `database`: what the database found wrong with itself, where it was asked elsewhere.
     */
    extra(size: number, partialTile?: (level: number) => Uint8Array, database?: Promise<readonly string[]>): Promise<readonly Fault[]>;
    /** A stored full tile. Absent where the evidence keeps none. */
    readonly tile?: (level: number, n: number) => Promise<Uint8Array | undefined>;
    /** The derived session rows, by session id. Absent where the evidence keeps none. */
    readonly sessions?: () => AsyncIterable<{
        readonly session_id: string;
        readonly row: string;
    }>;
    /** Absent where the evidence has no content. */
    readonly vault?: Vault;
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
/** A verdict of a log or of a part of one, which has no `indexes` to compare. */
type AnyVerdict = Omit<Verdict, 'properties' | 'counts' | 'keys'> & {
    readonly properties: Omit<Verdict['properties'], 'indexes'> & {
        readonly indexes?: PropertyVerdict;
    };
};
/** 0 whole; 1 evidence of tampering; 3 whole, but a property of `require` is not proved. (2, could not run, is an error.) */
declare function exitCode(verdict: AnyVerdict, require?: readonly Property[]): 0 | 1 | 3;

interface VerifyOptions {
    /** How many of `total` entries were read; once all were, `total` goes on with each sealed segment that is. */
    readonly progress?: (done: number, total: number) => void;
    /** Which witnesses must have cosigned; without it nothing is said of witnesses. */
    readonly policy?: Policy;
}
/** Verifies `evidence`. Rejects with an error only when it could not run; what is wrong with the evidence is in the verdict. */
declare function verifyLog(evidence: Evidence, options?: VerifyOptions): Promise<Verdict>;

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
/** What a payload of the bundle is: bytes that match their commitment, or why there are none. `by` is the entry that ordered the erasure. */
type BundleContent = {
    readonly index: number;
    readonly slot: string;
    readonly position: number;
    readonly media: string;
} & ({
    readonly bytes: Uint8Array;
} | {
    readonly absent: 'withheld';
} | {
    readonly absent: 'erased';
    readonly by: number;
} | {
    readonly absent: 'mismatch';
});
interface BundleTrust {
    /** The log's verifier key (`name+id+base64`), known from elsewhere. Without it nothing says whose log it is. */
    readonly key?: string;
    /** Witnesses' verifier keys, known from elsewhere. */
    readonly witnesses?: readonly string[];
}
interface OpenedBundle {
    readonly verdict: BundleVerdict;
    readonly entries: readonly Entry[];
    readonly contents: readonly BundleContent[];
}
/**
 * Verifies the JSON text of a bundle. What is wrong is in the verdict; a text that is no bundle is a VerifyError `bundle_malformed`, a bad key in
 * `trust` a MisuseError, entries of a newer format and nothing wrong beside them a CounterfoilError `newer_format`.
 */
declare function verifyBundle(json: string, trust?: BundleTrust): OpenedBundle;

/** The JSON text in a page, of which there must be exactly one. A MisuseError `not_a_bundle` for a file without any. */
declare function bundleIn(page: string): string;

/** What `checkInclusion` compares. Hashes are 32 bytes; `proof` goes from the leaf's sibling up. */
interface Inclusion {
    readonly index: number;
    readonly size: number;
    readonly leafHash: Hash;
    readonly root: Hash;
    readonly proof: readonly Hash[];
}
/**
 * Throws a VerifyError unless `proof` shows that `leafHash` is leaf `index` of the tree of `size` with `root`: `inclusion_shape` when no
 * such proof can exist (range, count, lengths), `inclusion_mismatch` when it leads to another root. Costs a hash per proof element.
 */
declare function checkInclusion({ index, size, leafHash, root, proof }: Inclusion): void;

/** What `checkConsistency` compares. Hashes are 32 bytes. */
interface Consistency {
    readonly oldSize: number;
    readonly size: number;
    readonly oldRoot: Hash;
    readonly root: Hash;
    readonly proof: readonly Hash[];
}
/**
 * Throws a VerifyError unless `proof` shows that the tree of `size` with `root` begins with the tree of `oldSize` with `oldRoot`:
 * `consistency_shape` when no such proof can exist, `consistency_mismatch` when the roots disagree, which means a rewritten log.
 */
declare function checkConsistency({ oldSize, size, oldRoot, root, proof }: Consistency): void;

/** What `openProof` needs beside the proof: the leaf hash computed from the entry itself, and who is trusted. */
interface ProofTrust extends CheckpointTrust {
    readonly leafHash: Hash;
    readonly verifiers: readonly NoteVerifier[];
}
/** The index of an entry and the checkpoint it is proved under. VerifyErrors as `parseProof`, `openCheckpoint`, `checkInclusion`. */
declare function openProof(bytes: string | Uint8Array, trust: ProofTrust): {
    readonly index: number;
    readonly checkpoint: Checkpoint;
};

/** Returns if `commitment` is the one to `payload` under `salt`, else throws a VerifyError `payload_commitment`. */
declare function checkCommitment(commitment: Uint8Array, salt: Uint8Array, payload: Uint8Array): void;

/** The base of every error that is not misuse: a stable `code`, and `next`, what an operator does about it. */
declare class CounterfoilError extends Error {
    readonly code: string;
    readonly next: string;
    constructor(code: string, message: string, next: string, options?: {
        cause?: unknown;
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

export { CounterfoilError, MisuseError, PROPERTIES, VerifyError, bundleIn, checkCommitment, checkConsistency, checkInclusion, ed25519Verifier, exitCode, leafHash, openCheckpoint, openProof, parsePolicy, verifyBundle, verifyLog };
export type { BundleContent, BundleProperty, BundleTrust, BundleVerdict, Checkpoint, Consistency, Disclosed, Entry, Evidence, Fault, Hash, Inclusion, KeyReign, NoteVerifier, OpenedBundle, Policy, Problem, ProofTrust, Property, PropertyVerdict, Status, Vault, Verdict, VerifyOptions };
