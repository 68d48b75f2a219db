// A folder of its own for one test, with a state folder in it, so that no test touches the user's keys.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openTrail, type Trail, type TrailOptions } from '../src/index.ts'

/** `db` is the path of a trail that is not there yet; `$COUNTERFOIL_HOME` is `home` from here on. */
export interface Scratch { readonly folder: string; readonly db: string; readonly home: string }

/** Gone when the test is finished. */
export function scratch(): Scratch {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-test-'))
  const home = join(folder, 'home')
  process.env['COUNTERFOIL_HOME'] = home
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
  return { folder, db: join(folder, 'audit.db'), home }
}

/** A trail in a folder of its own, closed when the test is finished. What it reports without being asked is in `reports`. */
export function scratchTrail(options: TrailOptions = {}, at: Scratch = scratch()): { trail: Trail; reports: string[]; at: Scratch } {
  const reports: string[] = []
  const trail = openTrail(at.db, { agent_id: 'agent-1', report: ({ message }) => reports.push(message), ...options })
  onTestFinished(() => trail.close().catch(() => undefined))
  return { trail, reports, at }
}
