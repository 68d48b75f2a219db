// counterfoil why [EVENT]: what led to an act, from the record alone.

import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import type { ViewEvent } from '../../event/view.ts'
import { rowsOf, type LineKind, type Row } from '../../why/format.ts'
import type { Why } from '../../why/result.ts'
import { lastWorthAsking, withParents, worthAsking } from '../../why/pick.ts'
import { why } from '../../why/why.ts'
import type { CliTrail } from '../api.ts'
import { noteWithheld, withTrail, type Context } from '../context.ts'
import { findAny } from '../find.ts'
import { fitted } from '../fitted.ts'
import { bold, grey, joined, pad, shortId, visible, width, wrap, type Line, type Style } from '../terminal.ts'

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
        const last = text === undefined ? await trail.why?.() : undefined
        explain(ctx, last ?? await explanationOf(trail, await actOf(trail, text)))
        await noteWithheld(ctx, trail)
      })
    })
}

/** Prints why as DESIGN §14 shows it, or as data. */
export function explain({ screen, json }: Context, data: Why): void {
  if (json) screen.json(data)
  else for (const line of whyLines(data, screen.columns)) screen.line(...line)
}

/** Everything the record says about the event: its session's events and those of the sessions it came from. */
export async function explanationOf(trail: CliTrail, event: Pick<ViewEvent, 'event_id' | 'session_id'>): Promise<Why> {
  const said = await trail.why?.(event.event_id)
  if (said !== undefined) return said
  return why(await withParents(event.session_id, (session_id) => eventsOf(trail, session_id)), event.event_id)
}

async function actOf(trail: CliTrail, text: string | undefined): Promise<Pick<ViewEvent, 'event_id' | 'session_id'>> {
  if (text === undefined) {
    const last = trail.why !== undefined ? undefined : await lastWorthAsking(trail.sessions(), (session_id) => eventsOf(trail, session_id))
    if (last === undefined) throw new MisuseError('no_act', 'cli: this trail has no tool call to explain', "name another event: counterfoil why '#INDEX'")
    return last
  }
  const found = await findAny(trail, text)
  if ('event' in found) return found.event
  const act = worthAsking(await eventsOf(trail, found.session_id))
  if (act === undefined) throw new MisuseError('no_act', 'cli: this session has no tool call and asked for none', "name another event: counterfoil why '#INDEX'")
  return act
}

async function eventsOf(trail: CliTrail, session_id: string): Promise<ViewEvent[]> {
  const events: ViewEvent[] = []
  for await (const event of trail.events({ session_id, ...(trail.why === undefined ? {} : { facts: true }) })) events.push(event) // a server explains by itself
  return events
}

const STYLES: { readonly [kind in LineKind]?: Style } = { untrusted: 'yellow', nowhere: 'yellow', partly: 'yellow', untraced: 'grey', unknown: 'grey' }

const VALUES: ReadonlySet<LineKind> = new Set(['traced', 'untrusted', 'partly', 'nowhere', 'untraced'])
const WIDE = 260

/** Values keep their columns and are shortened; everything else is said whole, on as many lines as it takes. */
export function whyLines(data: Why, columns: number): Line[] {
  const narrow = rowsOf(data, columns).slice(1)
  const values = narrow.filter(({ kind }) => VALUES.has(kind))
  const wide = rowsOf(data, WIDE).slice(1).filter(({ kind }) => !VALUES.has(kind))
  const before = wide.filter(({ kind }) => kind === 'asked' || kind === 'reasoning')
  const after = wide.slice(before.length)
  const label = Math.max(13, ...narrow.map((row) => width(visible(row.label)) + 2))
  const room = Math.max(20, columns - 2 - label)
  const whole = (row: Row): Line[] => wrap(row.text, room).map((text, i) => line({ ...row, label: i === 0 ? row.label : '', text }, label))
  return [
    ...heading(data.event, columns), [], ...before.flatMap(whole), ...values.map((row) => line(row, label)),
    ...after.flatMap(whole),
  ]
}

/** What was done, its arguments whole or left out and counted; then how risky, where and when. */
function heading({ event_type, tool_name, input, risk, index, elapsed_ms, session_id }: Why['event'], columns: number): Line[] {
  const name = visible(tool_name ?? event_type)
  const lead = event_type === 'approval_request' ? `asked to do: ${name}` : name
  const what = input === null ? lead : `${lead} ${fitted(input, Math.max(20, columns - width(lead) - 1))}`
  const place = `#${index}${elapsed_ms === null ? '' : `, ${(elapsed_ms / 1000).toFixed(3)} s into session ${shortId(session_id)}`}`
  return joined([[bold(what)], ...(risk === null ? [] : [[bold(risk)]]), [bold(place)]], columns)
}

function line({ label, text, kind }: Row, columns: number): Line {
  const style = STYLES[kind]
  return ['  ', grey(pad(label, columns)), style === undefined ? text : { text, style }]
}
