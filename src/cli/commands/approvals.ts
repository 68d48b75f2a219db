// counterfoil approvals: what waits for a person, and the answer. counterfoil stop: no act follows in a session.

import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import type { ShownApproval } from '../../ledger/approvals.ts'
import type { CliTrail } from '../api.ts'
import { isServer, trailPlace, withTrail, type Context } from '../context.ts'
import { findSession, namesEvent } from '../find.ts'
import { bold, cut, duration, green, grey, plural, red, shortId, visible, yellow, type Line } from '../terminal.ts'

export function approvalsCommand(program: Command, context: () => Context): void {
  const command = program.command('approvals')
    .description('list the acts that wait for a person; approve or reject one')
    .option('--all', 'also those that are settled')
    .addHelpText('after', `
What is shown is what is on record. An answer binds this one act with this one
input, once, until it expires. You answer as this terminal's user, on a server as whose
the key is.

Examples:
  $ counterfoil approvals
  $ counterfoil approvals approve 7f3a91c2 --comment "checked the order"
  $ counterfoil approvals reject last --comment "too much"`)
    .action(async ({ all }: { all?: true }) => {
      const ctx = context()
      await withTrail(ctx, 'read', (trail) => list(ctx, trail, all === true))
    })
  for (const [verb, decision] of [['approve', 'approved'], ['reject', 'rejected']] as const) {
    command.command(verb)
      .description(`${verb} the act that waits`)
      .argument('<request>', "the request's id, its beginning or end, #INDEX, or last: the newest that waits")
      .option('--comment <text>', 'for the agent and the record')
      .action(async (text: string, { comment }: { comment?: string }) => {
        const ctx = context()
        await withTrail(ctx, 'write', async (trail) => {
          const approval = await findApproval(trail, text)
          const { index, by } = await trail.decide(approval, { decision, comment })
          const { approval_id, tool_name, quorum, approvals } = approval
          const missing = decision === 'approved' ? Math.max(0, quorum - approvals - 1) : 0
          if (ctx.json) return ctx.screen.json({ approval_id, decision, by, index, missing })
          ctx.screen.line(decision === 'approved' ? green(decision) : red(decision), ' ', bold(visible(tool_name)), ` ${shortId(approval_id)} as ${visible(by)}`, grey(`  #${index}`))
          if (missing > 0) ctx.screen.line(yellow(`${plural(missing, 'more person has', 'more people have')} to approve`))
        })
      })
  }
}

export function stopCommand(program: Command, context: () => Context): void {
  program.command('stop')
    .description('stop a session: no act of it follows, and what waits for an approval is rejected')
    .argument('<session>', 'id, its beginning or end, #INDEX of one of its events, or last')
    .option('--note <text>', 'why; it goes on record')
    .addHelpText('after', `
The agent's tools are told at once; an act that runs is asked to end by its signal.
Sessions that the session started are stopped with it. There is no going on: what
is still to be done is a new session.

Example:
  $ counterfoil stop last --note "wrong customer"`)
    .action(async (text: string, { note }: { note?: string }) => {
      const ctx = context()
      await withTrail(ctx, 'write', async (trail) => {
        const session_id = await findSession(trail, text)
        const { index, sessions, rejected, by } = await trail.stop(session_id, note)
        if (ctx.json) return ctx.screen.json({ session_id, sessions, rejected, by, index })
        ctx.screen.line(red('stopped'), ' ', bold(`session ${shortId(session_id)}`), sessions.length > 1 ? ` and ${plural(sessions.length - 1, 'session')} that it started` : '', grey(`  #${index}`))
        if (rejected > 0) ctx.screen.line('  ', grey(`${plural(rejected, 'request')} for approval rejected`))
      })
    })
}

async function list(ctx: Context, trail: CliTrail, all: boolean): Promise<void> {
  const { screen, json, now } = ctx
  let [shown, unread] = [0, 0]
  for await (const approval of trail.approvals(all ? 'all' : 'open')) {
    shown++
    if (approval.tool_input === null) unread++
    if (json) screen.json(approval)
    else for (const line of approvalLines(approval, now(), screen.columns)) screen.line(...line)
    await screen.drain()
  }
  if (unread > 0 && !json && isServer(trailPlace(ctx))) screen.note(grey('what is asked is shown to who may decide'))
  if (shown === 0 && !json) screen.line(grey(all ? 'nobody was ever asked' : 'nothing waits for a person'))
}

/** A request on a few lines: who asks what, until when, with what, and why. */
export function approvalLines(approval: ShownApproval, now: number, columns: number): Line[] {
  const { approval_id, tool_name, risk, agent_id, user_id, quorum, approvals, state, expires_at, asked_at, tool_input, reasoning, summary, index } = approval
  const parts = [
    ...(risk === null ? [] : [risk]), `asked by ${agent_id || 'nobody'}${user_id === null ? '' : ` for ${user_id}`}, ${duration(Math.max(0, now - Date.parse(asked_at)))} ago`,
    state !== 'open' ? state : expires_at === null ? 'no end' : `${duration(Math.max(0, Date.parse(expires_at) - now))} left`, ...(quorum > 1 ? [`${approvals} of ${quorum} approved`] : []),
  ]
  const more = (text: string): Line => ['          ', grey(cut(visible(text), Math.max(20, columns - 10)))]
  const [why] = reasoning.slice(-1)
  return [
    [bold(shortId(approval_id)), '  ', bold(visible(tool_name)), '  ', visible(parts.join(' · ')), grey(`  #${index}`)],
    ['          ', cut(visible(tool_input ?? 'the input cannot be read'), Math.max(20, columns - 10))],
    ...(summary === null ? [] : [more(summary)]), ...(why === undefined ? [] : [more(`"${why}"`)]),
  ]
}

/** The request that `text` names, by what is known of it without its content. */
async function findApproval(trail: CliTrail, text: string): Promise<ShownApproval> {
  const names = text === 'last' ? undefined : namesEvent(text)
  const found: ShownApproval[] = []
  for await (const one of trail.approvals(names === undefined ? 'open' : 'all', { facts: true })) if (names === undefined || names({ id: one.approval_id, index: one.index })) found.push(one)
  if (names !== undefined && found.length > 1) throw new MisuseError('ambiguous', `cli: ${text} could be one of ${plural(found.length, 'request')} for approval`, 'give more digits')
  const last = found.at(-1)
  if (last === undefined) throw new MisuseError('no_request', names === undefined ? 'cli: nothing waits for a person' : `cli: ${text} is no request for approval`, 'counterfoil approvals lists what waits')
  return last
}
