// Who has no row because each of its measurements failed.

import { contenderNamed } from './contenders/all.ts'
import type { Failures } from './rounds.ts'

export function failedRows(failures: Failures, figures: { readonly [name: string]: unknown }): string[][] {
  return Object.entries(failures).filter(([name]) => figures[name] === undefined).map(([name, why]) => [`${contenderNamed(name).title}: failed, ${why}`.slice(0, 96)])
}
