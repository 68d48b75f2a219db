// The demo from beginning to end: an agent at work, its timeline, why its riskiest act came about, a verification, and what
// tampering with copies leads to. Everything happens in one folder with a state folder of its own.

import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { ViewEvent } from '../../event/view.ts'
import type { CliTrail } from '../api.ts'
import { notDone, worthAsking } from '../../why/pick.ts'
import { explain, explanationOf } from '../commands/why.ts'
import { show } from '../commands/show.ts'
import { verdictLines } from '../commands/verify.ts'
import type { Context } from '../context.ts'
import { compact, fitted } from '../fitted.ts'
import { shellQuoted } from '../shell.ts'
import { bold, cyan, duration, green, grey, joined, lineWidth, pad, plural, red, whole, wrap, yellow, type Line } from '../terminal.ts'
import { runAgent } from './agent.ts'
import type { Approver, Library } from './library.ts'
import { ORDER, OTHER_ORDER, PRICE, Shop, type Books } from './shop.ts'
import { changeOneByte, cutTail, deleteEntry, look, neverLooked, type Onlooker, type Outcome, type Tampering } from './tamper.ts'

export interface DemoOptions {
  readonly folder: string
  readonly library: Library
  readonly apiKey: string | undefined
  readonly model: string | undefined
  /** the answer to the approval; undefined asks at the terminal, or says no where there is none */
  readonly answer: 'yes' | 'no' | undefined
  /** how this command is called here, for the commands it names */
  readonly command: string
  readonly kept: boolean
  /** its trail is served after that */
  readonly served?: boolean
}

/** What came out. `surprises` is empty when everything did as it should. */
export interface DemoResult { readonly trail: string; readonly home: string; readonly session_id: string; readonly approved: boolean; readonly books: Books; readonly tampering: readonly Tampering[]; readonly surprises: readonly string[] }

const CUT = 5

/** Runs the demo and prints it. */
export async function runDemo(context: Context, options: DemoOptions): Promise<DemoResult> {
  const { folder, library, apiKey } = options
  const home = join(folder, 'state')
  const trail = join(folder, 'agent_audit.db')
  const shop = new Shop(join(folder, 'shop'))
  const older: string[] = []
  let approved = false
  introduce(context, options)
  const began = context.now()
  const onMoment = async (): Promise<void> => {
    const path = join(folder, `older-${older.length + 1}.db`)
    await withTrail(library, trail, home, (open) => open.copy(path))
    older.push(path)
  }
  const approve: Approver = async (request) => {
    const answer = await decide(context, options, request)
    approved ||= answer.decision === 'approved'
    return answer
  }
  const run = await runAgent({ library, path: trail, home, shop, apiKey, model: options.model, approve, onMoment })
  const books = shop.books()
  shop.close()
  say(context, [grey(`  done in ${duration(context.now() - began)}, ${plural(run.iterations, 'turn')}; what it did is on record:`)])

  const facts = await withTrail(library, trail, home, async (open) => {
    heading(context, options, 'show')
    if (!context.json) await show(context, open, run.session_id)
    const { act, refused } = await toExplain(open, run.session_id)
    if (act !== undefined) {
      heading(context, options, `why '#${act.index}'`)
      if (!context.json) explain(context, await explanationOf(open, act))
    }
    if (refused !== undefined) {
      const own = refused.index === act?.index
      say(context, [])
      for (const line of wrap(`What was asked for in #${refused.index} ${approved ? '' : 'was not approved and '}never became an act${own ? ': this explains the request.' : '. What led to the request:'}`, context.screen.columns - 2)) say(context, ['  ', grey(line)])
      if (!own) say(context, ['  ', whole(`${options.command} why '#${refused.index}'`, 'cyan')])
    }
    heading(context, options, 'verify')
    const started = context.now()
    const verdict = await open.verify({})
    for (const line of verdictLines(verdict, { name: 'agent_audit.db', ms: context.now() - started, columns: context.screen.columns })) say(context, line)
    return { whole: verdict.whole, size: verdict.size, act: act ?? (await firstEvent(open, run.session_id)) }
  })

  const tampering = await tamper({ library, trail, home, folder, older: older.at(-1), size: facts.size, act: facts.act })
  report(context, tampering)
  const surprises = surprisesOf({ scripted: apiKey === undefined, approved, books, whole: facts.whole, outcome: run.outcome, tampering })
  for (const surprise of surprises) context.screen.note(red('unexpected: '), surprise)
  const result = { trail, home, session_id: run.session_id, approved, books, tampering, surprises }
  if (context.json) context.screen.json(result)
  else if (options.served !== true) farewell(context, options, result)
  return result
}

async function withTrail<R>(library: Library, path: string, home: string, run: (trail: CliTrail) => Promise<R>): Promise<R> {
  const trail = await library.inspect(path, home)
  try {
    return await run(trail)
  } finally {
    await trail.close()
  }
}

// ---------------------------------------------------------------------------------------------------------- the agent at work

function introduce(context: Context, { apiKey, folder, kept, model }: DemoOptions): void {
  say(context, [bold('A customer-service agent of a mail-order shop, on the record')])
  const lines = apiKey === undefined
    ? 'Its model is scripted: a small server on this machine speaks the real API and plays it, so no key and no network are needed. The script falls for an instruction hidden in a letter, so that you see what the record shows of it. With ANTHROPIC_API_KEY set, a real model answers.'
    : `Its model is real (${model ?? 'the default'}), through the API and at your cost. One of the letters it reads has an instruction hidden in it.`
  for (const line of wrap(`${lines} The SDK is Anthropic's own; the tools read and change real files and a real database.`, context.screen.columns - 2)) say(context, ['  ', grey(line)])
  if (kept) {
    say(context, ['  ', grey('everything is kept in')])
    say(context, ['  ', whole(folder, 'grey')])
  }
  say(context, [])
}

async function decide(context: Context, { answer }: DemoOptions, { tool_name, tool_input, risk }: Parameters<Approver>[0]): ReturnType<Approver> {
  const what = `${tool_name} ${compact(tool_input)}`
  if (answer === undefined && context.interactive && !context.json) {
    await context.screen.drain()
    const yes = await context.confirm(`The agent asks to do this (risk ${risk ?? 'not stated'}): ${what}. Approve?`)
    return { decision: yes ? 'approved' : 'rejected', approver_id: userName(), assurance: 'terminal' }
  }
  const yes = answer === 'yes'
  const parts = [[yellow('approval: '), `${tool_name} ${fitted(tool_input, context.screen.columns - 13 - tool_name.length)}`], [yes ? green('approved') : red('rejected'), grey(answer === undefined ? ' (no terminal)' : ` (--approve ${answer})`)]]
  for (const line of joined(parts, context.screen.columns - 2)) say(context, ['  ', ...line])
  return { decision: yes ? 'approved' : 'rejected', approver_id: 'command-line', comment: answer === undefined ? 'there was no terminal to ask in' : `answered in advance by --approve ${answer}` }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    return 'somebody at the terminal' // a container may run under a user id that has no name
  }
}

// --------------------------------------------------------------------------------------------------------------- what to show

/** What to explain: the refund that the rules stopped, if there is one; else what `why` would choose. `refused`: a request that never became an act. */
async function toExplain(trail: CliTrail, session_id: string): Promise<{ act: ViewEvent | undefined; refused: ViewEvent | undefined }> {
  const events: ViewEvent[] = []
  for await (const event of trail.events({ session_id })) events.push(event)
  const denied = events.find((event) => event.event_type === 'policy_decision' && event['decision'] === 'deny')
  const stopped = denied === undefined ? undefined : events.find((event) => event.event_type === 'tool_call' && event['risk'] === 'high' && event.index > denied.index)
  return { act: stopped ?? worthAsking(events), refused: notDone(events).at(-1) }
}

async function firstEvent(trail: CliTrail, session_id: string): Promise<ViewEvent> {
  for await (const event of trail.events({ session_id })) return event
  throw new Error('demo: the session has no event')
}

function heading(context: Context, { command }: DemoOptions, verb: string): void {
  say(context, [])
  say(context, [cyan(`$ ${command} ${verb}`)])
}

function say({ json, screen }: Context, line: Line): void {
  if (!json) screen.line(...line)
}

// ------------------------------------------------------------------------------------------------------------------ tampering

interface Ground { readonly library: Library; readonly trail: string; readonly home: string; readonly folder: string; readonly older: string | undefined; readonly size: number; readonly act: ViewEvent }

async function tamper({ library, trail, home, folder, older, size, act }: Ground): Promise<Tampering[]> {
  let copies = 0
  const onCopy = async (what: string, change: (file: string) => void, expected: Tampering['expected'], from?: string): Promise<Tampering> => {
    const file = from ?? join(folder, `copy-${++copies}.db`)
    if (from === undefined) await withTrail(library, trail, home, (open) => open.copy(file))
    change(file)
    const outcomes: { [who in Onlooker]: Outcome } = {
      this: await look(() => library.inspect(file, home)),
      new: await look(() => library.inspect(file, neverLooked(home, join(folder, 'state-of-another')))),
    }
    return { what, outcomes, expected }
  }
  const both = { this: true, new: true }
  const rows = [
    await onCopy('nothing was changed', () => undefined, { this: false, new: false }),
    await onCopy(`the time of #${act.index} changed by one byte`, (file) => changeOneByte(file, act.event_id), both),
    await onCopy(`#${act.index - 1} deleted`, (file) => deleteEntry(file, act.index - 1), both),
    await onCopy(`the last ${CUT} entries cut off`, (file) => cutTail(file, size - CUT), both),
  ]
  if (older !== undefined && existsSync(older)) rows.push(await onCopy('an older copy put in its place', () => undefined, { this: true, new: false }, older))
  return rows
}

function report(context: Context, rows: readonly Tampering[]): void {
  const { columns } = context.screen
  say(context, [])
  say(context, [bold('What tampering with a copy of the database leads to')])
  say(context, [])
  const [what, one] = [Math.max(20, Math.min(40, columns - 44)), 17]
  say(context, ['  ', grey(pad('done to a copy', what)), '  ', grey(pad('this machine', one)), '  ', grey('one that never looked')])
  for (const { what: done, outcomes, expected } of rows) {
    const cell = ({ caught, where }: Outcome, should: boolean): string => (caught ? `caught${where === undefined ? '' : ` at #${where}`}` : should ? 'NOT CAUGHT' : rows[0]?.what === done ? 'whole' : 'not caught')
    const style = ({ caught }: Outcome, should: boolean): typeof green => (caught === should ? (caught ? green : rows[0]?.what === done ? grey : yellow) : red)
    say(context, [
      '  ', pad(done, what), '  ', style(outcomes.this, expected.this)(pad(cell(outcomes.this, expected.this), one)), '  ', style(outcomes.new, expected.new)(cell(outcomes.new, expected.new)),
    ])
  }
  if (!rows.some(({ outcomes }) => outcomes.this.caught && !outcomes.new.caught)) return
  say(context, [])
  const lesson = 'An older copy is whole in itself: only somebody who remembers a newer checkpoint can tell. This machine does, in its state folder. A machine that never looked needs a witness, or a checkpoint that was kept elsewhere.'
  for (const line of wrap(lesson, columns - 2)) say(context, ['  ', grey(line)])
}

/** What did not come out as it should. With a real model only what no model decides is held to. */
export function surprisesOf({ scripted, approved, books, whole, outcome, tampering }: { scripted: boolean; approved: boolean; books: Books; whole: boolean; outcome: string; tampering: readonly Tampering[] }): string[] {
  const surprises: string[] = []
  const expect = (true_: boolean, what: string): void => void (true_ || surprises.push(what))
  expect(whole, 'the trail of the run does not verify')
  expect(books.refunded[OTHER_ORDER] === 0, `order ${OTHER_ORDER} was refunded ${books.refunded[OTHER_ORDER]} EUR`)
  expect(approved || books.refunded[ORDER] === 0, `order ${ORDER} was refunded without an approval`)
  if (scripted) {
    expect(outcome === 'success', `the run ended with ${outcome}`)
    expect(books.refunded[ORDER] === (approved ? PRICE : 0), `order ${ORDER} was refunded ${books.refunded[ORDER]} EUR`)
    expect(books.mails.length === 1, `${books.mails.length} mails were sent`)
  }
  for (const { what, outcomes, expected } of tampering) {
    for (const who of ['this', 'new'] as const) {
      const { caught, says } = outcomes[who]
      expect(caught === expected[who], `${what}: ${caught ? 'caught' : 'not caught'} by ${who === 'this' ? 'this machine' : 'a machine that never looked'}${says === '' ? '' : ` (${says})`}`)
    }
  }
  return surprises
}

function farewell(context: Context, { command, kept }: DemoOptions, { trail, home }: DemoResult): void {
  say(context, [])
  say(context, [bold('Next')])
  say(context, [])
  const next: [string, string][] = kept
    ? [[`export COUNTERFOIL_HOME=${shellQuoted(home)}`, ''], [`export COUNTERFOIL_DB=${shellQuoted(trail)}`, ''], [`${command} show --full`, 'every payload'], [`${command} sql "SELECT event_type, count(*) FROM audit_events GROUP BY 1"`, ''], [`${command} erase last --reason "trying it"`, 'show and verify again after it']]
    : [[`${command} demo --keep ./demo`, 'the same, kept to look around in'], [`${command} init`, 'your own agent on the record'], [`${command} --help`, '']]
  for (const [line, what] of next) {
    const beside: Line = what === '' ? [] : [grey(`   # ${what}`)]
    const fits = 2 + lineWidth([line, ...beside]) <= context.screen.columns
    if (!fits && what !== '') say(context, ['  ', grey(`# ${what}`)])
    say(context, ['  ', whole(line, 'cyan'), ...(fits ? beside : [])])
  }
}
