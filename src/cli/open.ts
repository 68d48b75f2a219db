// Joins the command line to the trail. Loaded only when a command opens one, so that `--help` is immediate.

import type { CliTrail, OpenMode } from './api.ts'

/** The trail in the database at `path`. */
export async function openCliTrail(path: string, mode: OpenMode): Promise<CliTrail> {
  throw new Error(`cli: the trail is not joined yet (${path}, ${mode})`)
}
