// What is wrong is said in one form: what was expected, what was there, what to do. And nothing that is stored is changed by it.
// The messages are in a snapshot, so that each is read by somebody; paths, ids and numbers of the run are taken out.

import { createHash } from 'node:crypto'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { AgentAuditTrail, CounterfoilError, MisuseError, openTrail, StoreError, VerifyError, type Session, type Trail, type TrailOptions } from '../src/index.ts'
import { runChild } from './child.ts'
import { root } from './built-package.ts'
import { scratch, type Scratch } from './scratch.ts'

/** A trail with a session, closed. */
async function made(): Promise<Scratch> {
  const at = scratch()
  await using trail = openTrail(at.db, { agent_id: 'agent-1' })
  await trail.session({ user_id: 'u' }, (session) => { session.record('reasoning', { text: 'on record' }) })
  return at
}

function normal(message: string, { folder }: Scratch): string {
  return message.replaceAll(folder, '<folder>').replaceAll(/counterfoil\.local[/_][0-9a-f]{32}(-[0-9a-f]{16})?/g, '<origin>').replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{22}/g, '<id>').replaceAll(/[0-9a-f]{32}/g, '<ref>')
    .replaceAll(/[A-Za-z0-9+/]{43}=/g, '<hash>').replaceAll(root, '<root>')
}

/** The error of `what`, as kind, code and message. */
async function said(at: Scratch, what: () => unknown): Promise<string> {
  let error: unknown
  try {
    await what()
  } catch (thrown) {
    error = thrown
  }
  expect(error, 'something was thrown').toBeDefined()
  expect(error instanceof CounterfoilError || error instanceof MisuseError || error instanceof RangeError, `typed: ${String(error)}`).toBe(true)
  const { name, code, message } = error as { name: string; code?: string; message: string }
  return `${name} ${code ?? ''}: ${normal(message, at)}`
}

/** Opens, waits until it is open, closes. */
async function opened(db: string, options: TrailOptions = {}): Promise<void> {
  const trail = openTrail(db, { agent_id: 'a', report: () => {}, ...options })
  try {
    await trail.ready()
  } finally {
    await trail.close().catch(() => undefined)
  }
}

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

/** Everything in the state folder and beside the database. */
function everything({ folder }: Scratch): { [path: string]: string } {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => existsSync(join(folder, name)) && !name.endsWith('.spool') && !name.includes('.spool/') && !name.endsWith('-shm') && !name.endsWith('-wal'))
  return Object.fromEntries(files.flatMap((name) => {
    try {
      return [[name, digest(join(folder, name))]]
    } catch {
      return [] // a folder
    }
  }))
}

const use = (trail: Trail, wrong: (session: Session, trail: Trail) => unknown) => trail.start({ user_id: 'u' }).then(async (session) => {
  try {
    await wrong(session, trail)
  } finally {
    await session.end()
  }
})
const any = (value: unknown): never => value as never

const MISUSE: { readonly [what: string]: (session: Session, trail: Trail) => unknown } = {
  'an unknown event type': (session) => session.record(any('thinking'), any({})),
  'an event type that is not for record()': (session) => session.record(any('session_end'), any({})),
  'an event type of Object': (session) => session.record(any('__proto__'), any({})),
  'no event': (session) => session.record('reasoning', any(undefined)),
  'an array as event': (session) => session.record('reasoning', any([1])),
  'an unknown field': (session) => session.record('reasoning', any({ text: 'x', mood: 'good' })),
  'a field called __proto__': (session) => session.record('reasoning', any(JSON.parse('{"text":"x","__proto__":{"a":1}}'))),
  'a missing field': (session) => session.record('policy_decision', any({ policy: 'p' })),
  'missing content': (session) => session.record('tool_call', any({ tool_name: 't' })),
  'a field of another kind': (session) => session.record('reasoning', any({ text: 5 })),
  'a number that is none': (session) => session.record('llm_result', { input_tokens: NaN }),
  'a fraction where a count is': (session) => session.record('llm_result', { input_tokens: 1.5 }),
  'a list that is none': (session) => session.record('llm_call', any({ provider: 'p', model_id: 'm', input_messages: 'hello' })),
  'a name that is no label': (session) => session.record('tool_call', { tool_name: 'send mail!', tool_input: {} }),
  'a time that is none': (session) => session.record('reasoning', { text: 'x', timestamp: 'yesterday' }),
  'a step that is none': (session) => session.record('reasoning', { text: 'x', step_number: -1 }),
  'a bad outcome': (session) => session.record('tool_result', any({ outcome: 'fine' })),
  'a bad risk in record()': (session) => session.record('tool_call', any({ tool_name: 't', tool_input: {}, risk: 'huge' })),
  'a bad risk of a tool': (_session, trail) => trail.tool(any({ name: 't', risk: 'huge' }), any(() => 1)),
  'a tool without a function': (_session, trail) => trail.tool(any({ name: 't' })),
  'an approval without approver': (session) => session.approval({ tool_name: 'pay', tool_input: {} }),
  'a tool with an approval and no approver': (session, trail) => session.run(() => trail.tool({ name: 'pay', approval: true }, () => 1)({})),
  'a quorum': (session) => session.approval({ tool_name: 'pay', tool_input: {}, quorum: 3 }),
  'an intervention by nobody': (session) => session.intervene('stop', any({})),
  'a child without agent_id': (session) => session.agent(any({}), () => {}),
  'a bad end': (session) => session.end(any({ outcome: 'great' })),
  'no session': (_session, trail) => trail.record('reasoning', { text: 'x' }),
  'no function': (_session, trail) => trail.session({}, any(undefined)),
  'a session of a bad agent': (_session, trail) => trail.start({ agent_id: 'my agent' }),
  'a user that is no string': (_session, trail) => trail.start({ user_id: any(7) }),
  'a session nobody knows': (_session, trail) => trail.resume('019ab1c2-0000-7000-8000-000000000000'),
  'a session id that is none': (_session, trail) => trail.resume('7f3a91c2'),
  'an event nobody knows': (_session, trail) => trail.why('019ab1c2-0000-7000-8000-000000000000'),
  'an unknown filter': (_session, trail) => trail.events(any({ sesion_id: 'x' })),
  'an event type that is misspelt in a query': (_session, trail) => trail.events({ event_type: any('tool_cal') }),
  'an event type in a query that is nothing like any': (_session, trail) => trail.calls({ event_type: any('reasoning') }),
  'a session id of the author in a query': (_session, trail) => trail.sessions({ session_id: 'ticket 7' }),
  'a date that is none': (_session, trail) => trail.events({ since: new Date('tomorrow') }),
  'a page without size': (_session, trail) => trail.events().page({ size: 0 }),
  'a cursor of another': (_session, trail) => trail.events().page({ cursor: 'abc' }),
  'a session cursor of another': (_session, trail) => trail.sessions().page({ cursor: '{"a":1}' }),
  'an erasure without reason': (_session, trail) => trail.erase({ user_id: 'u' }, any({})),
  'an erasure of nothing': (_session, trail) => trail.erase(any({}), { reason: 'asked' }),
  'an erasure of nobody': (_session, trail) => trail.erase({ user_id: 'nobody' }, { reason: 'asked' }),
  'a witness that is not there': (session) => session.record('reasoning', { text: 'x' }).witnessed(),
}

const OPTIONS: { readonly [what: string]: (at: Scratch) => unknown } = {
  'an unknown option': ({ db }) => openTrail(db, any({ agentId: 'x' })),
  'an agent_id that is no label': ({ db }) => openTrail(db, { agent_id: 'my agent' }),
  'no agent_id': async () => { await using trail = openTrail(':memory:'); await trail.start({}) },
  'a bad risk': ({ db }) => openTrail(db, { failure: any({ severe: 'block' }) }),
  'a bad policy': ({ db }) => openTrail(db, { wait: any({ low: 'someday' }) }),
  'a bad mask': ({ db }) => openTrail(db, { mask: [{ name: 'my mask', find: /x/ }] }),
  'an approver that is none': ({ db }) => openTrail(db, { approve: any('boss') }),
  'an https URL': () => openTrail('https://audit.example.com/log'),
  'an empty path': () => openTrail(''),
  'a folder that is not there': ({ folder }) => openTrail(join(folder, 'none', 'a.db')),
  'a folder as path': ({ folder }) => openTrail(folder),
  'a relative state folder': ({ folder }) => {
    process.env['COUNTERFOIL_HOME'] = 'keys'
    return openTrail(join(folder, 'other.db'))
  },
  'the classic class without messages': async () => { await using trail = new AgentAuditTrail(':memory:', 'a'); trail.logLlmCall(any('x'), 'y', []) },
}

/** Each spoils a copy of a trail, and gives the path to open. */
const DATABASES: { readonly [what: string]: (at: Scratch) => string | { db: string; home: string } } = {
  'a file that is no database': ({ folder }) => { const db = join(folder, 'notes.txt'); writeFileSync(db, 'Dear diary, '.repeat(500)); return db },
  'a database of another program': ({ folder }) => { const db = join(folder, 'shop.db'); const other = new DatabaseSync(db); other.exec('CREATE TABLE orders (id)'); other.close(); return db },
  'a database of a newer format': ({ db }) => { const other = new DatabaseSync(db); other.exec('PRAGMA user_version = 99'); other.close(); return db },
  'a database whose start is overwritten': ({ db }) => { const bytes = readFileSync(db); bytes.fill(0x41, 0, 200); writeFileSync(db, bytes); return db },
  'a database whose pages are overwritten': ({ db }) => { const bytes = readFileSync(db); bytes.fill(0xff, 4096); writeFileSync(db, bytes); return db },
  'a database that was cut': ({ db }) => { writeFileSync(db, readFileSync(db).subarray(0, 20_000)); return db },
  'a table that was dropped': ({ db }) => { const other = new DatabaseSync(db); other.exec('DROP TABLE places'); other.close(); return db },
  'a state folder without keys': ({ db, folder }) => ({ db, home: join(folder, 'other-home') }),
  'keys of which one is missing': ({ db, home }) => { rmSync(join(keysOf(home), 'fingerprint.key')); return db },
  'a key that is damaged': ({ db, home }) => { const file = join(keysOf(home), 'log.key'); writeFileSync(file, readFileSync(file, 'utf8').replace(/.{6}\n$/, 'AAAAA=\n')); return db },
  'a key that everybody may read': ({ db, home }) => { chmodSync(join(keysOf(home), 'log.key'), 0o644); return db },
  'a spool key that is damaged': ({ db, home }) => { writeFileSync(join(home, 'spool.key'), 'nonsense\n'); return db },
  'an entry taken out': ({ db }) => { const other = new DatabaseSync(db); other.exec('DROP TRIGGER entries_refuse_delete; DELETE FROM entries WHERE idx = 3'); other.close(); return db },
}

const keysOf = (home: string): string => join(home, readdirSync(home).find((name) => !name.endsWith('.key'))!)

describe('said to an author', () => {
  test('at once, with what is expected and the next step', async () => {
    const at = await made()
    await using trail = openTrail(at.db, { agent_id: 'agent-1', report: () => {} })
    const messages: { [what: string]: string } = {}
    for (const [what, wrong] of Object.entries(MISUSE)) messages[what] = await said(at, () => use(trail, wrong))
    expect(messages).toMatchSnapshot()
    expect(await trail.events({ event_type: 'reasoning' }).first()).toMatchObject({ text: 'on record' })
    expect((await trail.verify()).problems).toEqual([])
  })

  test('when the trail is opened, with nothing changed', async () => {
    const at = await made()
    const before = digest(at.db)
    const messages: { [what: string]: string } = {}
    for (const [what, open] of Object.entries(OPTIONS)) {
      messages[what] = await said(at, async () => open(at))
      process.env['COUNTERFOIL_HOME'] = at.home
    }
    expect(messages).toMatchSnapshot()
    expect(digest(at.db)).toBe(before)
  })

  test('using a trail that is closed', async () => {
    const at = await made()
    const trail = openTrail(at.db, { agent_id: 'a', report: () => {} })
    const session = await trail.start({})
    await trail.close()
    expect([await said(at, () => trail.start({})), await said(at, () => trail.events().all()), await said(at, () => session.record('reasoning', { text: 'x' }).durable()), await said(at, () => session.end())]).toMatchSnapshot()
  })
})

describe('said to an operator', () => {
  test.each(Object.keys(DATABASES))('%s', async (what) => {
    const at = await made()
    const given = DATABASES[what]!(at)
    const { db, home } = typeof given === 'string' ? { db: given, home: at.home } : given
    const before = everything(at)
    const message = await said(at, () => opened(db, { home }))
    expect(message.replaceAll(/database disk image is malformed \(SQLite \d+\)|\d+ != [^)]*/g, '<malformed>')).toMatchSnapshot()
    expect(Object.entries(everything(at)).filter(([name, hash]) => name in before && before[name] !== hash)).toEqual([])
    expect(Object.keys(everything(at)).filter((name) => !(name in before) && !name.startsWith('other-home'))).toEqual([])
  })

  test('an older copy of the log', async () => {
    const at = await made()
    cpSync(at.db, `${at.db}.old`)
    {
      await using trail = openTrail(at.db, { agent_id: 'a' })
      await trail.session({}, () => {})
    }
    renameSync(`${at.db}.old`, at.db)
    for (const suffix of ['-wal', '-shm']) rmSync(at.db + suffix, { force: true })
    const before = digest(at.db)
    expect(await said(at, () => opened(at.db))).toMatchSnapshot()
    expect(digest(at.db)).toBe(before)
    await expect(opened(at.db)).rejects.toThrow(VerifyError)
  })

  test('a folder and a file that may not be written', async () => {
    const at = await made()
    const folder = join(at.folder, 'sealed')
    mkdirSync(folder)
    cpSync(at.db, join(folder, 'audit.db'))
    chmodSync(join(folder, 'audit.db'), 0o444)
    chmodSync(folder, 0o555)
    const before = digest(join(folder, 'audit.db'))
    // Whoever may do everything asks as somebody who may not.
    const { stdout } = await runChild(`
      import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
      for (const path of process.argv.slice(2)) {
        try {
          const trail = openTrail(path, { agent_id: 'a', report: () => {} })
          await trail.ready()
          console.log('opened')
        } catch (error) {
          console.log(error.name, error.code + ': ' + error.message)
        }
      }
      process.exit()`, [join(folder, 'audit.db'), join(folder, 'new.db')], { COUNTERFOIL_HOME: join(at.folder, 'their-home') }, process.getuid?.() === 0 ? { prefix: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'], open: at.folder } : { open: at.folder })
    expect(normal(stdout, at)).toMatchSnapshot()
    expect(digest(join(folder, 'audit.db'))).toBe(before)
    chmodSync(folder, 0o755)
  })
})

test('a misuse is a TypeError, a failure is not', () => {
  expect(new MisuseError('a', 'b', 'c')).toBeInstanceOf(TypeError)
  expect(new StoreError('a', 'b', 'c')).not.toBeInstanceOf(TypeError)
})
