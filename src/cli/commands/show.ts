// counterfoil show SESSION: the timeline of one session.

import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import type { ViewEvent } from '../../event/view.ts'
import type { CliTrail, SessionSummary } from '../api.ts'
import { noteWithheld, withTrail, type Context } from '../context.ts'
import { inOrder } from '../event-json.ts'
import { findingLines, sessionFindings } from '../findings.ts'
import { findSession } from '../find.ts'
import { yellow, type Line } from '../terminal.ts'
import { sessionHeader, Timeline, timelineNotes } from '../timeline.ts'

export function showCommand(program: Command, context: () => Context): void {
  program.command('show')
    .description('show what happened in a session, one line an event')
    .argument('[session]', 'id, its beginning or end, #INDEX of one of its events, or last', 'last')
    .option('--full', 'every payload whole, below its event')
    .addHelpText('after', `
Examples:
  $ counterfoil show                 the last session
  $ counterfoil show 7f3a91c2        by the last digits of its id
  $ counterfoil show '#21'           the session that entry 21 belongs to
  $ counterfoil show last --full     with every payload whole
  $ counterfoil show last --json     one event a line, for jq`)
    .action(async (session: string, options: { full?: true }) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        await show(ctx, trail, await findSession(trail, session), options)
        await noteWithheld(ctx, trail)
      })
    })
}

/** Prints the timeline of one session. */
export async function show(context: Context, trail: CliTrail, session_id: string, { full = false }: { full?: boolean } = {}): Promise<void> {
  const { screen, json } = context
  const session = await summaryOf(trail, session_id)
  const findings = json ? [] : await sessionFindings(trail, session_id)
  const marked = new Set(findings.flatMap(({ events }) => events))
  let timeline: Timeline | undefined
  for await (const event of trail.events({ session_id })) {
    if (json) {
      screen.json(inOrder(event))
    } else {
      timeline ??= begin(context, session, event, full)
      for (const [i, line] of timeline.lines(event).entries()) screen.line(...(i === 0 && marked.has(event.event_id) ? mark(line) : line))
    }
    await screen.drain()
  }
  const notes = timeline === undefined ? [] : timelineNotes(timeline, session, screen.columns)
  if (notes.length > 0) screen.line()
  for (const line of notes) screen.line(...line)
  if (findings.length > 0) screen.line()
  for (const told of findings) for (const line of findingLines(told, screen.columns, 'session')) screen.line(...line)
}

/** An event that a finding names begins with `!`, in the place of its margin. */
function mark([, ...line]: Line): Line {
  return [yellow('! '), ...line]
}

function begin({ screen, now }: Context, session: SessionSummary, first: ViewEvent, full: boolean): Timeline {
  for (const line of sessionHeader(session, first, screen.columns)) screen.line(...line)
  screen.line()
  const start = Date.parse(first.timestamp)
  const end = session.ended_at === null ? now() : Date.parse(session.ended_at)
  return new Timeline({ columns: screen.columns, lastIndex: first.index + session.events, start, lastOffsetMs: end - start, model_id: first.model_id, full })
}

async function summaryOf(trail: CliTrail, session_id: string): Promise<SessionSummary> {
  for await (const session of trail.sessions({ session_id })) return session
  throw new MisuseError('not_found', `cli: there is no session ${session_id}`, 'ids are in: counterfoil sessions')
}
