// counterfoil why [EVENT]: what led to an act, from the record alone.

import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import type { ViewEvent } from '../../event/view.ts'
import { rowsOf, type LineKind, type Row } from '../../why/format.ts'
import type { Why } from '../../why/result.ts'
import { riskiest, why } from '../../why/why.ts'
import type { CliTrail } from '../api.ts'
import { withTrail, type Context } from '../context.ts'
import { findAny } from '../find.ts'
import { bold, grey, pad, visible, width, wrap, type Line, type Style } from '../terminal.ts'

const MAX_SESSIONS = 200
const MAX_PARENTS = 16

export function whyCommand(program: Command, context: () => Context): void {
  program.command('why')
    .description('say what led to an act: reasoning, where each value came from, rules, approval, result')
    .argument('[event]', "#INDEX or id of an event, or a session (then: its riskiest act); without one, the trail's last act of high risk")
    .addHelpText('after', `
Every line names the entry it rests on. It says where things came from, and never
that an act was right or wrong.

Examples:
  $ counterfoil why                  the last tool call of high risk
  $ counterfoil why '#21'            entry 21
  $ counterfoil why last --json      the last event, as data`)
    .action(async (text: string | undefined) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        const event_id = await actOf(trail, text)
        explain(ctx, await explanationOf(trail, event_id))
      })
    })
}

/** Prints why as DESIGN §14 shows it, or as data. */
export function explain({ screen, json }: Context, data: Why): void {
  if (json) screen.json(data)
  else for (const line of whyLines(data, screen.columns)) screen.line(...line)
}

/** Everything the record says about the event: its session's events and those of the sessions it came from. */
export async function explanationOf(trail: CliTrail, event: ViewEvent): Promise<Why> {
  const events: ViewEvent[] = []
  const seen = new Set<string>()
  for (let session_id: string | undefined = event.session_id; session_id !== undefined && !seen.has(session_id) && seen.size < MAX_PARENTS;) {
    seen.add(session_id)
    let parent: string | undefined
    for await (const one of trail.events({ session_id })) {
      events.push(one)
      if (one.event_type === 'session_start' && typeof one['parent_session_id'] === 'string') parent = one['parent_session_id']
    }
    session_id = parent
  }
  return why(events, event.event_id)
}

async function actOf(trail: CliTrail, text: string | undefined): Promise<ViewEvent> {
  const found = text === undefined ? await lastRisky(trail) : await findAny(trail, text)
  if ('event' in found) return found.event
  const act = riskiest(await eventsOf(trail, found.session_id))
  if (act === undefined) throw new MisuseError('no_act', 'cli: this session has no tool call', "name another event: counterfoil why '#INDEX'")
  return act
}

/** The newest tool call of risk high or critical; else the newest tool call of all. */
async function lastRisky(trail: CliTrail): Promise<{ event: ViewEvent }> {
  let other: ViewEvent | undefined
  let looked = 0
  for await (const { session_id, tools } of trail.sessions()) {
    if (++looked > MAX_SESSIONS) break
    if (Object.keys(tools).length === 0) continue
    const act = riskiest(await eventsOf(trail, session_id))
    if (act !== undefined && (act['risk'] === 'high' || act['risk'] === 'critical')) return { event: act }
    other ??= act
  }
  if (other === undefined) throw new MisuseError('no_act', 'cli: this trail has no tool call to explain', "name another event: counterfoil why '#INDEX'")
  return { event: other }
}

async function eventsOf(trail: CliTrail, session_id: string): Promise<ViewEvent[]> {
  const events: ViewEvent[] = []
  for await (const event of trail.events({ session_id })) events.push(event)
  return events
}

const STYLES: { readonly [kind in LineKind]?: Style } = { untrusted: 'yellow', nowhere: 'yellow', partly: 'yellow', untraced: 'grey', unknown: 'grey' }

const VALUES: ReadonlySet<LineKind> = new Set(['traced', 'untrusted', 'partly', 'nowhere', 'untraced'])
const WIDE = 260

/** Values keep their columns and are shortened; everything else is said whole, on as many lines as it takes. */
export function whyLines(data: Why, columns: number): Line[] {
  const [title, ...narrow] = rowsOf(data, columns)
  const values = narrow.filter(({ kind }) => VALUES.has(kind))
  const wide = rowsOf(data, WIDE).slice(1).filter(({ kind }) => !VALUES.has(kind))
  const before = wide.filter(({ kind }) => kind === 'asked' || kind === 'reasoning')
  const label = Math.max(13, ...narrow.map((row) => width(visible(row.label)) + 2))
  const room = Math.max(20, columns - 2 - label)
  const whole = (row: Row): Line[] => wrap(row.text, room).map((text, i) => line({ ...row, label: i === 0 ? row.label : '', text }, label))
  return [[bold(title?.text ?? '')], [], ...before.flatMap(whole), ...values.map((row) => line(row, label)), ...wide.slice(before.length).flatMap(whole)]
}

function line({ label, text, kind }: Row, columns: number): Line {
  const style = STYLES[kind]
  return ['  ', grey(pad(label, columns)), style === undefined ? text : { text, style }]
}
