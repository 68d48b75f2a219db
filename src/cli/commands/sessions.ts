// counterfoil sessions: what agents did, newest first.

import { InvalidArgumentError, type Command } from 'commander'
import { Absent } from '../../event/view.ts'
import { OUTCOMES, type Outcome } from '../../event/vocabulary.ts'
import type { SessionQuery, SessionSummary } from '../api.ts'
import { noteWithheld, withTrail, type Context } from '../context.ts'
import { parseMoment } from '../moment.ts'
import { quoteUnlessPlain } from '../summary.ts'
import { bold, count, duration, grey, pad, shortId, type Line } from '../terminal.ts'
import { sessionEnd } from '../timeline.ts'

interface Options { agent?: string; user?: string; subject?: string; since?: string; until?: string; outcome?: Outcome; open?: true; limit: number }

export function sessionsCommand(program: Command, context: () => Context): void {
  program.command('sessions')
    .description('list sessions, newest first')
    .option('--agent <id>', 'only those of this agent')
    .option('--user <id>', 'only those of this user')
    .option('--subject <id>', 'only those with content of this person')
    .option('--since <when>', 'only those begun at or after: 2026-11-21, 2026-11-21T08:00Z, yesterday, 3d, 12h')
    .option('--until <when>', 'only those begun before')
    .option('--outcome <outcome>', `only those that ended so: ${OUTCOMES.join(', ')}`, parseOutcome)
    .option('--open', 'only those that have not ended')
    .option('-n, --limit <number>', 'at most so many', parseLimit, 50)
    .addHelpText('after', `
Examples:
  $ counterfoil sessions
  $ counterfoil sessions --agent customer-service-v1 --since yesterday
  $ counterfoil sessions --outcome failure --json | jq -r .session_id`)
    .action(async (options: Options) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        let shown = 0
        let more = false
        for await (const session of trail.sessions(queryOf(options, ctx.now()))) {
          if (shown === options.limit) {
            more = true
            break
          }
          if (ctx.json) ctx.screen.json(session)
          else {
            if (shown === 0) ctx.screen.line(...sessionsHead(ctx.screen.columns))
            ctx.screen.line(...sessionLine(session, ctx.now(), ctx.screen.columns))
          }
          shown++
          await ctx.screen.drain()
        }
        if (ctx.json) return
        if (shown === 0) ctx.screen.line(grey('no session fits'))
        else if (more) ctx.screen.line(grey(`the newest ${count(shown)}; more with --limit`))
        if (shown > 0) await noteWithheld(ctx, trail)
      })
    })
}

function queryOf({ agent, user, subject, since, until, outcome, open }: Options, now: number): SessionQuery {
  return {
    ...(agent === undefined ? {} : { agent_id: agent }), ...(user === undefined ? {} : { user_id: user }), ...(subject === undefined ? {} : { subject }), ...(outcome === undefined ? {} : { outcome }),
    ...(open === undefined ? {} : { open }), ...(since === undefined ? {} : { since: parseMoment(since, now) }), ...(until === undefined ? {} : { until: parseMoment(until, now) }),
  }
}

/** Widths of the columns that give way: agent and user share what is left, and how long it took is for wide screens. */
function widths(columns: number): { agent: number; user: number; took: number } {
  const took = columns < 100 ? 0 : 12
  const room = Math.max(16, columns - (2 + 8 + 2 + 16 + 2 + 2 + 2 + 6 + 2 + 11) - (took === 0 ? 0 : took + 2))
  const user = Math.max(6, Math.floor(room * 0.35))
  return { agent: room - user, user, took }
}

export function sessionsHead(columns: number): Line {
  const { agent, user, took } = widths(columns)
  return [grey(`  ${pad('session', 8)}  ${pad('began (UTC)', 16)}  ${pad('agent', agent)}  ${pad('user', user)}  events  ${took === 0 ? '' : `${pad('took', took, 'right')}  `}ended`)]
}

export function sessionLine(session: SessionSummary, now: number, columns: number): Line {
  const { agent, user, took } = widths(columns)
  const elapsed = Math.max(0, (session.ended_at === null ? now : Date.parse(session.ended_at)) - Date.parse(session.started_at))
  return [
    '  ', bold(shortId(session.session_id)), '  ', `${session.started_at.slice(0, 10)} ${session.started_at.slice(11, 16)}`, '  ', pad(quoteUnlessPlain(session.agent_id), agent), '  ',
    session.user_id instanceof Absent ? grey(pad(session.user_id.toString(), user)) : pad(session.user_id === null ? '' : quoteUnlessPlain(session.user_id), user), '  ',
    pad(count(session.events), 6, 'right'), '  ', took === 0 ? '' : `${pad(duration(elapsed), took, 'right')}  `, sessionEnd(session),
  ]
}

function parseOutcome(text: string): Outcome {
  const outcome = OUTCOMES.find((one) => one === text)
  if (outcome === undefined) throw new InvalidArgumentError(`Expected one of ${OUTCOMES.join(', ')}.`)
  return outcome
}

export function parseLimit(text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('Expected a number of at least 1.')
  return number
}
