// The same call, tool and input, failed three times in a row, with no other tool's result between. Told once for each such row. Where
// an input cannot be read, nothing can be called the same.

import type { ViewEvent } from '../../event/view.ts'
import { calledBy } from '../../why/about.ts'
import { textOf } from '../../why/message.ts'
import { isMasked } from '../../why/match.ts'
import { sameJson } from '../../why/same.ts'
import { shown, toolNameOf } from '../act.ts'
import type { Rule, Watcher } from '../rule.ts'

export const repeatedFailure: Rule = { name: 'repeated_failure', says: 'the same call failed three times in a row', begin }

const TIMES = 3
const FAILED: ReadonlySet<unknown> = new Set(['failure', 'timeout', 'denied'])

function begin(): Watcher {
  let row: ViewEvent[] = []
  return (event, session) => {
    if (event.event_type !== 'tool_result') return []
    const call = calledBy(session, event, session.position(event.event_id)!)
    if (call === undefined || row.includes(call)) return []
    if (!FAILED.has(event.outcome)) row = []
    else row = row[0] !== undefined && isSame(row[0], call) ? [...row, call].slice(0, TIMES + 1) : [call]
    if (row.length !== TIMES) return []
    const masked = isMasked(textOf(call['tool_input']) ?? '') ? ' Parts of the input were masked before they were recorded, and may have differed.' : ''
    return [{ severity: 'medium', acts: row, sources: [event], explanation: `${shown(call)} failed as it had in #${row[0]!.index} and #${row[1]!.index}, with the same input: three times in a row, and nothing else was tried in between.${masked}` }]
  }
}

function isSame(a: ViewEvent, b: ViewEvent): boolean {
  const [name, input] = [toolNameOf(a), a['tool_input']]
  if (name === undefined || name !== toolNameOf(b)) return false
  return sameJson(input ?? null, b['tool_input'] ?? null) // false for what cannot be read
}
