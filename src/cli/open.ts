// Joins the command line to the trail. Loaded only when a command opens one, so that `--help` is immediate.

import { runAuditedAgent } from '../anthropic.ts'
import { openTrail } from '../trail/trail.ts'
import type { CliTrail, OpenMode } from './api.ts'
import type { DemoTrail, Library } from './demo/library.ts'
import { openLocalTrail } from './local-trail.ts'

/** The trail in the database at `path`. */
export function openCliTrail(path: string, mode: OpenMode): Promise<CliTrail> {
  return openLocalTrail(path, mode)
}

/** The library as the demo uses it. */
export const library: Library = {
  openTrail: (path, options) => openTrail(path, options) as unknown as DemoTrail,
  runAuditedAgent,
  inspect: (path, home) => openLocalTrail(path, 'read', home),
}
