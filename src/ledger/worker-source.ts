// Where the ledger's worker thread comes from: from the sources, its file; in the built package this module is
// replaced by one that holds the worker's bundled code as a string (scripts/build.ts), because a file beside
// the module is lost as soon as somebody bundles it.

/** The file to start the worker from, or its code, to be started with `eval: true`. */
export type WorkerSource = { url: URL } | { code: string }

/** The ledger's worker, as this copy of the package carries it. */
export const workerSource: WorkerSource = { url: new URL('./worker.ts', import.meta.url) }
