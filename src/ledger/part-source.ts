// Where the threads of a verification come from: see worker-source.ts. In the built package this module is replaced by one that holds their
// code as a string (scripts/build.ts).

import type { WorkerSource } from './worker-source.ts'

/** The code of a verification's thread, as this copy of the package carries it. */
export const partSource: WorkerSource = { url: new URL('./part-worker.ts', import.meta.url) }
