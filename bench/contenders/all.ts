// Everybody, in the order of the tables.

import type { Contender } from '../contender.ts'
import { chained } from './chained.ts'
import { classicNode, classicPython } from './classic.ts'
import { counterfoil } from './counterfoil.ts'
import { langfuse } from './langfuse.ts'
import { langSmith } from './langsmith.ts'
import { nothing } from './nothing.ts'
import { openTelemetry } from './opentelemetry.ts'
import { opik } from './opik.ts'
import { pinoAsync, pinoSync } from './pino.ts'
import { bareSqlite } from './sqlite.ts'
import { winston } from './winston.ts'

export const contenders: readonly Contender[] = [
  counterfoil, openTelemetry, langfuse, langSmith, opik, pinoSync, pinoAsync, winston, chained, bareSqlite, classicNode, classicPython, nothing,
]

export function contenderNamed(name: string): Contender {
  const found = contenders.find((contender) => contender.name === name)
  if (found === undefined) throw new RangeError(`bench: expected a contender (${contenders.map((contender) => contender.name).join(', ')}), got ${JSON.stringify(name)}`)
  return found
}
