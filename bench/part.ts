// A part of the reading: a file in parts/, found there by its name, which measures something and shows it. To add one, add a file.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender } from './contender.ts'
import type { Reading } from './measured.ts'
import type { Table } from './table.ts'

export interface Options {
  /** How often everything is measured; medians are taken over these. */
  readonly rounds: number
  /** Few rounds and little of everything: shows that it works, not how fast. */
  readonly quick: boolean
  /** Who takes part, in the order of the tables. */
  readonly contenders: readonly Contender[]
  /** No new round, and no new cell of a table, begins after this moment (`performance.now()`). */
  readonly until: number
  /** As given on the command line, for parts to which they mean something else. */
  readonly minutes?: number
  readonly rate?: number
}

export interface Part {
  /** Where it stands on the page. */
  readonly order: number
  /** What it measures, in a line of help. */
  readonly about: string
  /** Measured only when it is named. */
  readonly alone?: true
  /** Measures, and hands over everything that it has after each round: a part that is stopped has what it had. */
  readonly run: (options: Options, keep: (data: unknown, rounds: number) => void) => Promise<void>
  /** The lines of the page. Without it the data is a Table. `reading` has what the other parts measured. */
  readonly show?: (data: never, reading: Reading) => string[]
}

/** The parts by name, in the order of the page. Each file exports its `part`. */
export async function allParts(): Promise<Map<string, Part>> {
  const folder = join(import.meta.dirname, 'parts')
  const names = readdirSync(folder).filter((file) => file.endsWith('.ts')).map((file) => file.slice(0, -3))
  const parts = await Promise.all(names.map(async (name) => [name, ((await import(`./parts/${name}.ts`)) as { part: Part }).part] as const))
  return new Map(parts.toSorted(([, a], [, b]) => a.order - b.order))
}

export type { Table }
