// counterfoil export: one session as one file that proves itself offline.

import { resolve } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import type { Disclose } from '../../ledger/bundle.ts'
import { makePage } from '../../page/page.ts'
import { pageScript } from '../../page/script.ts'
import type { CliTrail } from '../api.ts'
import { isServer, withTrail, type Context } from '../context.ts'
import { findEvent, findSession } from '../find.ts'
import { writeNewFile } from '../new-file.ts'
import { plural, wrap } from '../terminal.ts'

/** Of payloads that stand with an earlier entry, this many are named one by one. */
const EARLIER_SHOWN = 10

export type Asked = 'none' | 'all' | readonly { readonly event: string; readonly slot?: string; readonly position?: number | 'all' }[]
interface Options { session: string; disclose: Asked; output: string; witness?: string[]; force?: boolean }

export function exportCommand(program: Command, context: () => Context): void {
  program.command('export')
    .description('write one session as a page that verifies offline, with the content you choose')
    .option('--session <session>', 'id, its beginning or end, #INDEX of one of its events, or last', 'last')
    .option('--disclose <what>', 'none, all, or events with commas: EVENT[:PAYLOAD[:N|all]]', parseDisclose, 'none')
    .requiredOption('-o, --output <file>', 'where to write it')
    .option('--witness <vkeys...>', "witnesses' verifier keys, whose cosignatures go along")
    .option('--force', 'overwrite the file')
    .addHelpText('after', `
The file has every entry of the session: who, what and when, and no content. Content goes
in only where --disclose says so. An event discloses what it has, of a list what it adds;
with a position N, from 0, the element of the whole list as the event had it; with "all"
the whole list.

Examples:
  $ counterfoil export -o evidence.html
  $ counterfoil export --session 7f3a91c2 --disclose all -o evidence.html
  $ counterfoil export --disclose '#12,#13:tool_input,#14:input_messages:0' -o evidence.html`)
    .action(async ({ session, disclose, output, witness = [], force = false }: Options) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail, place) => {
        const session_id = await findSession(trail, session)
        const { json, verdict, missing, earlier } = await trail.export({ session_id, disclose: await placesOf(trail, disclose), witnesses: witness })
        const page = makePage(json, await pageScript())
        writeNewFile(resolve(ctx.cwd, output), page, force)
        const { entries, payloads, withheld, erased } = verdict.counts
        if (ctx.json) {
          ctx.screen.json({ file: output, trail: place, session_id, entries, payloads, withheld, erased, missing, earlier, key: verdict.keys[0] })
          return
        }
        const say = (text: string): void => { for (const line of wrap(text, ctx.screen.columns)) ctx.screen.line(line) }
        say(`${output}: session ${session_id}, ${plural(entries, 'entry', 'entries')}, ${plural(payloads, 'payload')} disclosed, ${withheld} withheld, ${erased} erased`)
        for (const { index, slot, position, stands } of earlier.slice(0, EARLIER_SHOWN)) say(`${slot}${position === undefined ? '' : ` ${position}`} of #${index} stands with #${stands}, which brought it`)
        if (earlier.length > EARLIER_SHOWN) say(`and ${plural(earlier.length - EARLIER_SHOWN, 'more payload')} with the entries that brought them`)
        if (missing > 0) say(`${plural(missing, 'payload')} asked for ${missing === 1 ? 'is' : 'are'} not there any more; counterfoil verify says why`)
        if (disclose === 'none') say('no content is in it; --disclose all or --disclose EVENT puts some in')
        say(isServer(place) ? 'Whoever checks it needs the key of the log from who runs the server, not from the file:' : 'Whoever checks it needs your key from you, not from the file:')
        ctx.screen.text(verdict.keys[0]!) // whole: it is there to be copied
      })
    })
}

export async function placesOf(trail: CliTrail, asked: Asked): Promise<Disclose> {
  if (typeof asked === 'string') return asked
  return Promise.all(asked.map(async ({ event, ...rest }) => ({ index: (await findEvent(trail, event)).index, ...rest })))
}

export function parseDisclose(text: string): Asked {
  if (text === 'none' || text === 'all') return text
  return text.split(',').map((part) => {
    const match = /^(?<event>#?[0-9a-f-]+|last)(?::(?<slot>[a-z_]{1,64})(?::(?<n>\d{1,6}|all))?)?$/i.exec(part.trim())
    if (match === null) throw new InvalidArgumentError('Expected none, all, or events with commas, each EVENT, EVENT:PAYLOAD, EVENT:PAYLOAD:N or EVENT:PAYLOAD:all.')
    const { event, slot, n } = match.groups as { event: string; slot?: string; n?: string }
    return { event, ...(slot === undefined ? {} : { slot }), ...(n === undefined ? {} : { position: n.toLowerCase() === 'all' ? 'all' : Number(n) }) }
  })
}
