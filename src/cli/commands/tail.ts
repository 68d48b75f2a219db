// counterfoil tail: follows a trail while agents write it.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { messageOf, RemoteError } from '../../base/errors.ts'
import type { ViewEvent } from '../../event/view.ts'
import type { CliTrail } from '../api.ts'
import { noteWithheld, withTrail, type Context } from '../context.ts'
import { inOrder } from '../event-json.ts'
import { findSession } from '../find.ts'
import { fitSummary, summarize, type Known } from '../summary.ts'
import { bold, grey, shortId, type Line } from '../terminal.ts'
import { parseLimit } from './sessions.ts'

const POLL_MS = 500

export function tailCommand(program: Command, context: () => Context): void {
  program.command('tail')
    .description('follow what agents do, as it is recorded')
    .argument('[session]', 'only this session')
    .option('-n, --lines <number>', 'begin with so many earlier events', parseLimit, 10)
    .option('--no-follow', 'end after what is there')
    .addHelpText('after', `
Examples:
  $ counterfoil tail                 every session, until Ctrl-C
  $ counterfoil tail last -n 50      the last session
  $ counterfoil tail --json          one event a line, for jq`)
    .action(async (session: string | undefined, options: { lines: number; follow: boolean }) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        await noteWithheld(ctx, trail)
        await tail(ctx, trail, session === undefined ? undefined : await findSession(trail, session), options)
      })
    })
}

async function tail({ screen, json, signal }: Context, trail: CliTrail, session_id: string | undefined, { lines, follow }: { lines: number; follow: boolean }): Promise<void> {
  const where = session_id === undefined ? {} : { session_id }
  const known = new Calls()
  let next = 0
  const print = async (event: ViewEvent): Promise<void> => {
    next = event.index + 1
    if (json) screen.json(inOrder(event))
    else screen.line(...tailLine(event, known, screen.columns))
    known.remember(event)
    await screen.drain()
  }
  for (const event of await trail.newest(lines, where)) await print(event)
  if (!follow) return
  for (let away = false; ;) {
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    try {
      for await (const event of trail.events({ ...where, from: next })) await print(event)
      away = false
    } catch (error) {
      // a server that is started again is followed on, from the event after the last
      if (!(error instanceof RemoteError) || !error.retry) throw error
      if (!away && !json) screen.note(grey(`${messageOf(error)}; trying again`))
      away = true
    }
  }
}

export function tailLine(event: ViewEvent, known: Known, columns: number): Line {
  const summary = summarize(event, known)
  const index = `#${event.index}`.padEnd(6)
  const kind = summary.kind.slice(0, 10).padEnd(11)
  const left = index.length + 2 + 8 + 2 + 8 + 2 + kind.length
  return [grey(index), '  ', grey(event.timestamp.slice(11, 19)), '  ', bold(shortId(event.session_id)), '  ', summary.style === undefined ? kind : { text: kind, style: summary.style }, ...fitSummary(summary, columns - left)]
}

const MAX_CALLS = 1000

/** The calls of several sessions that wait for a result; the oldest are forgotten. */
class Calls implements Known {
  readonly model_id = null
  readonly #calls = new Map<string, { index: number; tool_name?: string; adjacent: boolean }>()
  #last: ViewEvent | undefined

  indexOf(): undefined {
    return undefined
  }

  callOf(event: ViewEvent): { index: number; tool_name?: string; adjacent: boolean } | undefined {
    const call = event.parent_event_id === null ? undefined : this.#calls.get(event.parent_event_id)
    // a call that came before what is shown cannot be named; that is not the same as there being none
    return call === undefined ? { index: -1, adjacent: true } : { ...call, adjacent: this.#last?.index === call.index }
  }

  remember(event: ViewEvent): void {
    this.#last = event
    if (event.event_type !== 'tool_call' && event.event_type !== 'llm_call') return
    this.#calls.set(event.event_id, { index: event.index, adjacent: false, ...(typeof event['tool_name'] === 'string' ? { tool_name: event['tool_name'] } : {}) })
    if (this.#calls.size > MAX_CALLS) this.#calls.delete(this.#calls.keys().next().value!)
  }
}
