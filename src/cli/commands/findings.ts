// counterfoil findings [SESSION]: what the rules that need no model notice, computed from the record as it is read.

import { InvalidArgumentError, type Command } from 'commander'
import type { ViewEvent } from '../../event/view.ts'
import { SEVERITIES, type Severity } from '../../monitor/finding.ts'
import { RULES } from '../../monitor/rules/all.ts'
import type { CliTrail } from '../api.ts'
import { noteWithheld, withTrail, type Context } from '../context.ts'
import { findingLines, isAtLeast, recordedFinding, allRecorded, sessionFindings, type Told } from '../findings.ts'
import { findSession } from '../find.ts'
import { count, grey, plural } from '../terminal.ts'
import { parseLimit } from './sessions.ts'

interface Options { severity: Severity; record?: true; limit: number }

export function findingsCommand(program: Command, context: () => Context): void {
  program.command('findings')
    .description('what the rules notice: undeclared tools, acts without approval, untrusted arguments, failures, missing outcomes')
    .argument('[session]', 'id, its beginning or end, #INDEX of one of its events, or last; without one, the newest sessions')
    .option('--severity <severity>', `only those at least so severe: ${SEVERITIES.join(', ')}`, parseSeverity, 'info')
    .option('--record', 'put them on record, each once')
    .option('-n, --limit <number>', 'look through at most so many sessions', parseLimit, 50)
    .addHelpText('after', `
A finding says what stands in the record, and never that an act was wrong.
The rules:
${RULES.map(({ name, says }) => `  ${name.padEnd(24)}${says}`).join('\n')}

Examples:
  $ counterfoil findings                       of the newest sessions
  $ counterfoil findings last --severity high
  $ counterfoil findings --record              on record, with the events they name`)
    .action(async (session: string | undefined, options: Options) => {
      const ctx = context()
      await withTrail(ctx, options.record === true ? 'write' : 'read', async (trail) => {
        const { all, looked, more } = session === undefined ? await (trail.recorded === undefined ? ofTrail(trail, options.limit) : onRecord(trail, trail.recorded(), options.limit)) : { all: await sessionFindings(trail, await findSession(trail, session)), looked: 1, more: false }
        const wanted = all.filter((told) => isAtLeast(told, options.severity))
        const told = options.record === true ? await record(trail, wanted) : wanted
        for (const one of told) {
          if (ctx.json) ctx.screen.json(one)
          else for (const line of findingLines(one, ctx.screen.columns, session === undefined ? 'trail' : 'session')) ctx.screen.line(...line)
          await ctx.screen.drain()
        }
        if (ctx.json) return
        const known = trail.recorded === undefined ? '' : ' on record'
        const where = session === undefined ? `in ${more ? `the newest ${count(looked)} sessions; more with --limit` : plural(looked, 'session')}` : 'in this session'
        ctx.screen.line(grey(told.length === 0 ? (known === '' ? `nothing is noticed ${where}` : `no finding${known}`) : `${plural(told.length, 'finding')}${known} ${where}`))
        await noteWithheld(ctx, trail)
      })
    })
}

/** Of the newest sessions, the newest first; and before them what the ledger itself has on record. */
async function ofTrail(trail: CliTrail, limit: number): Promise<{ all: Told[]; looked: number; more: boolean }> {
  const all: Told[] = []
  for await (const event of trail.events({ event_type: 'finding' })) if (event.writer === 'ledger') all.push(...recordedFinding(event))
  let looked = 0
  for await (const { session_id } of trail.sessions({ facts: true })) {
    if (looked === limit) return { all, looked, more: true }
    all.push(...await sessionFindings(trail, session_id))
    looked++
  }
  return { all, looked, more: false }
}

/** What is on record of the newest sessions with findings, the newest first. */
async function onRecord(trail: CliTrail, found: AsyncIterable<ViewEvent>, limit: number): Promise<{ all: Told[]; looked: number; more: boolean }> {
  const sessions = new Map<string, ViewEvent[]>()
  for await (const event of found) {
    const own = sessions.get(event.session_id) ?? []
    sessions.delete(event.session_id) // the newest finding places its session last
    sessions.set(event.session_id, [...own, event])
  }
  const newest = [...sessions.values()].slice(-limit).reverse()
  const all: Told[] = []
  for (const own of newest) all.push(...await allRecorded(trail, own))
  return { all, looked: newest.length, more: sessions.size > newest.length }
}

async function record(trail: CliTrail, all: readonly Told[]): Promise<Told[]> {
  const placed = await trail.recordFindings(all.filter(({ index }) => index === null))
  return all.map((told) => ({ ...told, index: told.index ?? placed.get(told.event_id) ?? null }))
}

function parseSeverity(text: string): Severity {
  const severity = SEVERITIES.find((one) => one === text)
  if (severity === undefined) throw new InvalidArgumentError(`Expected one of ${SEVERITIES.join(', ')}.`)
  return severity
}
