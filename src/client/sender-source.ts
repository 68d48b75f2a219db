// Where the thread that sends comes from: from the sources, its file; in the built package this module is replaced by one that holds
// its code as a string (scripts/build.ts), as the ledger's is.

/** The file to start the worker from, or its code, to be started with `eval: true`. */
export type SenderSource = { url: URL } | { code: string }

/** The sending thread, as this copy of the package carries it. */
export const senderSource: SenderSource = { url: new URL('./sender-worker.ts', import.meta.url) }
