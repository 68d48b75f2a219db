// An argument of an act of high risk whose value stands first in what the model read from outside: the answer of a tool, or data, that
// nobody declared trusted. Where it stands is found as `why` finds it (match, text-index), among what was before the model when it asked.
// Where something that the user or the system prompt said before cannot be read, nothing is said: it may have stood there.

import { Absent, type ViewEvent } from '../../event/view.ts'
import { callOf, findRequest } from '../../why/asked.ts'
import { identifiersOf, isLong, leavesOf, valueAt, type Leaf } from '../../why/leaves.ts'
import { isMasked, needleOf } from '../../why/match.ts'
import { sameJson } from '../../why/same.ts'
import type { Session } from '../../why/session.ts'
import type { Found, Text } from '../../why/text-index.ts'
import { isRiskyAct, labelOr, shownWithRisk } from '../act.ts'
import type { Noticed } from '../finding.ts'
import type { Rule, Watcher } from '../rule.ts'

export const untrustedArgument: Rule = { name: 'untrusted_argument', says: 'an argument of an act of risk high or above stands first in an untrusted source', begin }

/** How many arguments an explanation names. */
const MAX_NAMED = 6

/** An argument, or something that looks like an identifier inside a long one. `later`: what the user or the system prompt said of it after that. */
interface Traced { readonly path: string; readonly inside: boolean; readonly from: Found; readonly later: Found | undefined }

function begin(): Watcher {
  let told = false
  return (event, session) => {
    if (!isRiskyAct(event) || event['tool_input'] === undefined || event['tool_input'] instanceof Absent) return []
    const traced = argumentsOf(event, session)
    const { charactersLeftOut, firstLeftOut } = session.texts
    const left = firstLeftOut === undefined ? '' : ` This session is too long to look at whole: ${charactersLeftOut} characters from #${session.at(firstLeftOut).index} on were not searched.`
    if (traced.length > 0) return [noticed(event, traced, session, left)]
    if (left === '' || told) return []
    told = true
    return [{ severity: 'info', acts: [event], explanation: `${shownWithRisk(event)}: whether an argument of it, or of a later act, stands first in an untrusted source cannot be told.${left}` }]
  }
}

/** The arguments that stand first in an untrusted source, as far as everything that people said before can be read. */
function argumentsOf(event: ViewEvent, session: Session): Traced[] {
  const act = session.position(event.event_id)!
  const input = event['tool_input']
  const request = findRequest(session, event, act, input)
  const asked = request === undefined ? act : (callOf(session, request.position) ?? request.position - 1) + 1
  const unread = firstUnread(session)
  return leavesOf(input).leaves.flatMap((leaf) => {
    const as_asked = request?.requested === undefined || sameJson(valueAt(request.requested.input, leaf.keys), leaf.value)
    return tracedIn(session, leaf, as_asked ? asked : act).filter(({ from }) => from.text.position < unread)
  })
}

function tracedIn(session: Session, leaf: Leaf, end: number): Traced[] {
  const whole = look(session, leaf.value, end)
  if (whole !== undefined) return isUntrusted(session, whole.from.text, end) ? [{ path: leaf.path, inside: false, ...whole }] : []
  if (typeof leaf.value !== 'string' || !isLong(leaf.value)) return []
  for (const { text } of identifiersOf(leaf.value)) {
    const part = look(session, text, end)
    if (part !== undefined && part.later === undefined && isUntrusted(session, part.from.text, end)) return [{ path: leaf.path, inside: true, ...part }]
  }
  return []
}

/** Where a value stands first before `end`, and where those who may say what is to be done said it. */
function look(session: Session, value: unknown, end: number): Omit<Traced, 'path' | 'inside'> | undefined {
  const needle = needleOf(value)
  if (typeof needle === 'string') return undefined
  const from = earliest(session.texts.find(needle, end))
  return from === undefined ? undefined : { from, later: earliest(session.texts.find(needle, end, (text) => isSaid(text))) }
}

function earliest({ exact, loose }: { exact?: Found; loose?: Found }): Found | undefined {
  return exact !== undefined && loose !== undefined && loose.order < exact.order ? loose : (exact ?? loose)
}

function isSaid({ kind }: Text): boolean {
  return kind === 'user_message' || kind === 'system_prompt' || kind === 'human'
}

function isUntrusted(session: Session, text: Text, end: number): boolean {
  if (text.kind === 'data') return session.at(text.position)['trust'] === 'untrusted'
  return text.kind === 'tool_answer' && session.trust(text, end) === 'untrusted'
}

/** What people and prompts say stands in these; an answer of a tool that is gone takes nothing away. */
const SAYING: ReadonlySet<string> = new Set(['session_start', 'llm_call', 'context', 'config_change', 'human_intervention', 'approval_decision', 'handoff'])

/** Position of the first event with something that people may have said and that is not there. */
function firstUnread(session: Session): number {
  return session.absent.find(({ position }) => SAYING.has(session.at(position).event_type))?.position ?? Number.POSITIVE_INFINITY
}

function noticed(act: ViewEvent, traced: readonly Traced[], session: Session, left: string): Noticed {
  const sources = [...new Set(traced.flatMap(({ from, later }) => [from, ...(later === undefined ? [] : [later])]).map(({ text }) => session.at(text.position)))]
  const said = traced.slice(0, MAX_NAMED).map((one) => sentence(one, session))
  const more = traced.length > MAX_NAMED ? `, and ${traced.length - MAX_NAMED} more` : ''
  const severity = traced.every(({ later }) => later !== undefined) ? 'low' : act['risk'] === 'critical' ? 'high' : 'medium'
  return { severity, acts: [act], sources, explanation: `${shownWithRisk(act)}: ${said.join('; ')}${more}.${caveat(session, traced)}${left}` }
}

function sentence({ path, inside, from: { text }, later }: Traced, session: Session): string {
  const place = (at: Text): string => `#${session.at(at.position).index}`
  const source = text.kind === 'data' ? `data from ${labelOr(text.name, 'a source')}` : `the answer of ${labelOr(text.name, 'a tool')}`
  const after = later === undefined ? 'and neither the user nor the system prompt had said it' : `and was said only later (${place(later.text)})`
  return `${inside ? 'something in ' : ''}${argument(path)} stands first in ${source} (${place(text)}), which is untrusted, ${after}`
}

// The path is content: shown where it looks like the names of parameters.
function argument(path: string): string {
  return path === '' ? 'the input' : path.length <= 80 && /^[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[\d+\])*$/.test(path) ? path : 'an argument'
}

/** What was there and could not be looked into, before the last of the sources. */
function caveat(session: Session, traced: readonly Traced[]): string {
  const end = Math.max(...traced.map(({ from }) => from.text.position))
  const opaque = session.opaque.find(({ position }) => position < end && SAYING.has(session.at(position).event_type))?.position
  const masked = session.texts.texts.find((text) => text.position < end && isSaid(text) && isMasked(text.text))?.position
  const gap = session.events.findIndex(({ event_type }, position) => event_type === 'gap' && position < end)
  const places = [...new Set([opaque, masked, gap < 0 ? undefined : gap].filter((position) => position !== undefined))].sort((a, b) => a - b)
  return places.length === 0 ? '' : ` Not everything said before could be looked into (${places.map((position) => `#${session.at(position).index}`).join(', ')}).`
}
