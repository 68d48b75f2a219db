// The Python client (clients/python) against a real server: the classic loop with only its import changed, and everything that can go wrong between.

import { spawn, type ChildProcess } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startModelServer, type Script } from '../src/cli/model-server.ts'
import type { ViewEvent } from '../src/event/view.ts'
import { findingsOf } from '../src/monitor/watch.ts'
import { serve, type Served } from '../src/server/serve.ts'
import { noPython } from './interop/python.ts'
import { scratch } from './scratch.ts'

const CLIENT = join(import.meta.dirname, '../clients/python')
const FIXTURES = join(import.meta.dirname, 'python-client')

if (noPython !== undefined) process.stderr.write(`python client: skipped, ${noPython}\n`)

/** Where Python programs run: the client and a folder of their own, with the server that they are given. */
interface Place { readonly folder: string; readonly db: string; readonly home: string; readonly port: number; key: string }

async function place(): Promise<Place> {
  const tmp = scratch()
  const folder = join(tmp.folder, 'agent')
  mkdirSync(folder)
  return { folder, db: tmp.db, home: tmp.home, port: await freePort(), key: '' }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** The server at the place's port, with a key for the agent; closed when the test is done. */
async function serveAt(at: Place): Promise<Served> {
  const served = await serve({ trail: at.db, port: at.port, host: '127.0.0.1', version: 'test', options: { home: at.home }, report: () => {} })
  let closing: Promise<void> | undefined
  const once: Served = { ...served, close: () => (closing ??= served.close()) }
  onTestFinished(() => once.close())
  if (at.key === '') {
    served.parts.people.put({ id: 'py', tenant: 'default', kind: 'agent', name: 'py', roles: ['agent'] })
    at.key = served.parts.keys.issue({ tenant: 'default', principal: 'py' }).key
  }
  return once
}

interface Ran { readonly code: number | null; readonly out: string; readonly err: string }

function start(at: Place, code: string, args: readonly string[] = []): { child: ChildProcess; ran: Promise<Ran> } {
  const child = spawn('python3', ['-B', '-X', 'utf8', '-W', 'error::ResourceWarning', '-c', code, ...args], {
    cwd: at.folder, env: { ...process.env, PYTHONPATH: CLIENT, COUNTERFOIL_URL: `http://127.0.0.1:${at.port}`, COUNTERFOIL_KEY: at.key },
  })
  let [out, err] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { err += text })
  return { child, ran: new Promise((resolve) => child.on('close', (status) => resolve({ code: status, out, err }))) }
}

const python = (at: Place, code: string, args: readonly string[] = []): Promise<Ran> => start(at, code, args).ran

/** A session's events as the server has them, without the server's own entries. */
async function eventsOf(served: Served, session_id: string): Promise<ViewEvent[]> {
  return served.parts.tenants.open('default')!.ledger.call<ViewEvent[]>('session', session_id)
}

/** What lies in the outbox and is not sent. */
function left(at: Place): string[] {
  const folder = join(at.folder, 'a.db.outbox')
  return existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.jsonl') && readFileSync(join(folder, name)).length > 0) : []
}

const numbers = (events: readonly ViewEvent[]): unknown[] => events.filter(({ event_type }) => event_type === 'custom').flatMap(({ content }) => (typeof content === 'object' && content !== null && 'n' in content ? [content.n] : []))
const count = (to: number): number[] => Array.from({ length: to }, (_, n) => n)
const TRAIL = "from counterfoil import AgentAuditTrail\ntrail = AgentAuditTrail('a.db', 'bot', 'claude-opus-4-6', 'Be brief.')\n"
const SESSION = 'print(trail.session_id, flush=True)\n'

/** Two tools at once, one of which fails; the failed one again; an answer. */
const script: Script = ({ messages }) => {
  const tool = (id: string, name: string, input: object): { type: 'tool_use'; id: string; name: string; input: object } => ({ type: 'tool_use', id: `toolu_${id}`, name, input })
  const turn = messages.filter(({ role }) => role === 'assistant').length
  if (turn === 0) return { content: [{ type: 'text', text: 'I look both up.' }, tool('1', 'lookup_order', { order_id: '1182' }), tool('2', 'shipping_status', { order_id: '1182' })] }
  if (turn === 1) return { content: [tool('3', 'shipping_status', { order_id: '1182', "customer's note": 'größer – 42 € 🙂' })] }
  return { content: [{ type: 'text', text: 'Your parcel arrived on Monday; 42 € are on their way.' }] }
}

describe.skipIf(noPython !== undefined)(`the Python client${noPython === undefined ? '' : ` (skipped: ${noPython})`}`, () => {
  test('the classic loop runs with only its import changed, and its session has every event', async () => {
    const at = await place()
    const served = await serveAt(at)
    const model = await startModelServer(script)
    onTestFinished(() => model.close())
    const source = readFileSync(join(FIXTURES, 'agent.py'), 'utf8')
    copyFileSync(join(FIXTURES, 'agent_audit.py'), join(at.folder, 'agent_audit.py'))
    writeFileSync(join(at.folder, 'classic.py'), source)
    const changed = source.replace('from agent_audit import AgentAuditTrail', 'from counterfoil import AgentAuditTrail')
    expect(changed).not.toBe(source)
    const run = (program: string): Promise<Ran> => python(at, `import runpy, sys\nsys.argv = [${JSON.stringify(program)}, *sys.argv[1:]]\nsys.path.insert(0, '.')\nrunpy.run_path(sys.argv[0], run_name='__main__')`, [model.url, 'a.db'])
    writeFileSync(join(at.folder, 'audited.py'), changed)
    const [classic, audited] = [await run('classic.py'), await run('audited.py')]
    expect([classic.code, classic.err, audited.code, audited.err]).toEqual([0, '', 0, ''])
    const said = (ran: Ran): unknown[] => ran.out.trim().split('\n').map((line) => JSON.parse(line) as unknown)
    const [theirs, ours] = [said(classic), said(audited)]
    const last = (rows: unknown[]): { session_id: string; system_prompt_hash: string } => rows.pop() as never
    const [end, own] = [last(theirs), last(ours)]
    expect(own.system_prompt_hash).toBe(end.system_prompt_hash)
    expect(ours).toEqual(theirs)
    const events = await eventsOf(served, own.session_id)
    expect(events.map(({ event_type }) => event_type)).toEqual([
      'session_start', 'custom', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'tool_call', 'tool_result', 'llm_call', 'llm_result', 'tool_call', 'tool_result', 'llm_call', 'llm_result', 'final_output',
    ])
    expect(events.map(({ stream_seq }) => stream_seq)).toEqual(count(events.length))
    const calls = (theirs as { event_type: string; step_number: number; content: { [name: string]: unknown } }[]).filter(({ event_type }) => event_type.endsWith('_call'))
    const rows = await served.parts.tenants.open('default')!.ledger.call<{ event_type: string; step_number: number; content: string }[]>('rows', own.session_id)
    expect(rows.filter(({ event_type }) => event_type.endsWith('_call')).map(({ event_type, step_number, content }) => ({ event_type, step_number, content: JSON.parse(content) as unknown }))).toMatchObject(calls)
    expect(events[0]).toMatchObject({ agent_id: 'customer-service-v1', model_id: 'claude-opus-4-6', system_prompt_hash: own.system_prompt_hash, source: 'counterfoil-python/0.1.0', writer: 'py' })
    expect(events[2]).toMatchObject({ capture: 'after' })
    expect(left(at)).toEqual([])
  })

  test('is one file of the standard library, and reads as Python 3.9', async () => {
    const at = await place()
    at.key = 'none'
    const { code, out, err } = await python(at, `import ast, pathlib, sys
tree = ast.parse(pathlib.Path(sys.argv[1]).read_text(encoding='utf8'), feature_version=(3, 9))
names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names} | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
print(sorted(name for name in names if name.split('.')[0] not in getattr(sys, 'stdlib_module_names', {name.split('.')[0]})))`, [join(CLIENT, 'counterfoil.py')])
    expect([code, out, err]).toEqual([0, '[]\n', ''])
    expect(readdirSync(CLIENT).filter((name) => name !== '__pycache__')).toEqual(['counterfoil.py'])
  })

  test('events wait while the server is away, and arrive once and in order when it is back', async () => {
    const at = await place()
    await (await serveAt(at)).close()
    const { child, ran } = start(at, `${TRAIL}${SESSION}for n in range(300): trail.log('step', {'n': n})\nprint(trail.flush(0.3), flush=True)\ninput()\nprint(trail.flush(60))\ntrail.close()`)
    const first = await new Promise<string>((resolve) => {
      let out = ''
      child.stdout!.on('data', (text: string) => { out += text; if (out.split('\n').length > 2) resolve(out) })
    })
    const [session_id, flushed] = first.trim().split('\n')
    expect([flushed, left(at).length]).toEqual(['False', 1])
    const served = await serveAt(at)
    child.stdin!.end('go on\n')
    const { code, out, err } = await ran
    expect([code, out.trim().split('\n').at(-1), err]).toEqual([0, 'True', expect.stringContaining('cannot be reached')])
    const events = await eventsOf(served, session_id!)
    expect(numbers(events)).toEqual(count(300))
    expect(events.at(-1)).toMatchObject({ event_type: 'session_end', outcome: 'success', stream_seq: 301 })
  })

  test('what a killed process recorded is sent by the next one that uses the folder, once', async () => {
    const at = await place()
    const before = await serveAt(at)
    await before.close()
    const killed = await python(at, `${TRAIL}${SESSION}import os, signal\nfor n in range(200): trail.log('step', {'n': n})\nos.kill(os.getpid(), signal.SIGKILL)`)
    expect([killed.code, left(at).length]).toEqual([null, 1])
    const cut = join(at.folder, 'a.db.outbox', left(at)[0]!)
    writeFileSync(cut, '{"event_type":"custom","name":"cut', { flag: 'a' }) // as a process leaves it that is killed in the middle of a write
    const served = await serveAt(at)
    const next = await python(at, `${TRAIL}${SESSION}trail.log('step', {'n': 'next'})\ntrail.close()`)
    expect([next.code, next.err, left(at)]).toEqual([0, '', []])
    const events = await eventsOf(served, killed.out.trim())
    expect([numbers(events), events.some(({ event_type }) => event_type === 'gap')]).toEqual([count(200), false])
    expect(numbers(await eventsOf(served, next.out.trim()))).toEqual(['next'])
    expect(existsSync(cut)).toBe(false)
  })

  test('a process that ends without close sends what it can, and leaves nothing', async () => {
    const at = await place()
    const served = await serveAt(at)
    const ended = await python(at, `${TRAIL}${SESSION}for n in range(50): trail.log('step', {'n': n})`)
    expect([ended.code, ended.err, readdirSync(join(at.folder, 'a.db.outbox'), { recursive: true })]).toEqual([0, '', [expect.stringMatching(/^[0-9a-f]{16}$/)]])
    expect(numbers(await eventsOf(served, ended.out.trim()))).toEqual(count(50))
    expect((await eventsOf(served, ended.out.trim())).at(-1)).toMatchObject({ event_type: 'custom' }) // its end is nobody's to make up
  })

  test.runIf(process.platform === 'linux')('what a process has that only stands still is left to it', async () => {
    const at = await place()
    await (await serveAt(at)).close()
    const { child, ran } = start(at, `${TRAIL}for n in range(5): trail.log('step', {'n': n})\n${SESSION}input()\ntrail.close(60)`)
    const session_id = await new Promise<string>((resolve) => { child.stdout!.once('data', (text: string) => { resolve(text.trim()) }) })
    child.kill('SIGSTOP')
    const served = await serveAt(at)
    expect(await python(at, `${TRAIL}trail.close()`)).toMatchObject({ code: 0, err: '' })
    expect([left(at).length, await eventsOf(served, session_id)]).toEqual([1, []])
    child.kill('SIGCONT')
    child.stdin!.end('go on\n')
    expect((await ran).code).toBe(0)
    expect([numbers(await eventsOf(served, session_id)), left(at)]).toEqual([count(5), []])
  })

  test('what is sent twice, since nobody noted that it was, adds nothing', async () => {
    const at = await place()
    await (await serveAt(at)).close()
    const killed = await python(at, `${TRAIL}${SESSION}import os, signal\nfor n in range(20): trail.log('step', {'n': n})\nos.kill(os.getpid(), signal.SIGKILL)`)
    const file = join(at.folder, 'a.db.outbox', left(at)[0]!)
    const served = await serveAt(at)
    copyFileSync(file, join(at.folder, 'kept'))
    for (const _ of [1, 2]) {
      copyFileSync(join(at.folder, 'kept'), file)
      expect(await python(at, `${TRAIL}trail.close()`)).toMatchObject({ code: 0, err: '' })
      expect([numbers(await eventsOf(served, killed.out.trim())), left(at)]).toEqual([count(20), []])
    }
  })

  test('several processes and threads, and a fork, share a folder: each stream is whole and in order', async () => {
    const at = await place()
    const served = await serveAt(at)
    const many = `${TRAIL}${SESSION}
import threading
threads = [threading.Thread(target=lambda: [trail.log('step', {'n': n}) for n in range(100)]) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
trail.close(30)`
    const fork = `${TRAIL}${SESSION}
import os
trail.log('step', {'n': 'before'})
child = os.fork()
for n in range(100): trail.log('step', {'n': n})
print(trail.flush(30), flush=True)
if child == 0: os._exit(0)
os.waitpid(child, 0)`
    const ran = await Promise.all([python(at, many), python(at, many), python(at, fork)])
    expect(ran.map(({ code, err }) => [code, err])).toEqual([[0, ''], [0, ''], [0, '']])
    for (const { out } of ran) {
      const events = await eventsOf(served, out.split('\n')[0]!)
      const streams = Map.groupBy(events, ({ stream }) => stream)
      for (const own of streams.values()) expect(own.map(({ stream_seq }) => stream_seq)).toEqual(count(own.length))
      expect(events.some(({ event_type }) => event_type === 'gap')).toBe(false)
      expect([numbers(events).length, streams.size]).toEqual(out.includes('True') ? [201, 2] : [400, 1])
    }
  })

  test('any value is recorded: unicode, lone surrogates, NaN, large numbers, bytes, circles, objects that raise', async () => {
    const at = await place()
    const served = await serveAt(at)
    const { code, err, out } = await python(at, `${TRAIL}${SESSION}
import dataclasses, datetime, decimal, enum
class Color(str, enum.Enum): RED = 'red'
class Rude:
    def __str__(self): raise RuntimeError('no')
    def model_dump(self): raise RuntimeError('no')
class Block:
    def model_dump(self): return {'type': 'text', 'text': 'hi'}
@dataclasses.dataclass
class Point: x: int
circle = []; circle.append(circle)
deep = []
for _ in range(5000): deep = [deep]
values = ['größer – 42 € 🙂 \\u2028', '\\ud800', float('nan'), float('-inf'), 2**70, -0.0, 1e300, b'\\xff', circle, deep, Rude(), Block(), Point(1), Color.RED, (1, 2), {1: 'a', (2,): 'b'}, decimal.Decimal('1.10'), datetime.datetime(2026, 1, 2), {'a\\ud83d': None}, None, True, '', object]
for n, value in enumerate(values): trail.log('step', {'n': n, 'value': value})
trail.log('größer als ein Name', 'plain'); trail.log('step', None); trail.log('reasoning', {'text': 'I think'}); trail.log('reasoning', {'text': 1})
trail.log_tool_call('Wörter zählen', None, {'a': float('nan')}, None, 1.6)
trail.log_llm_call('no list', None, None, {'input': 1.5, 'output': None, 'cached': 3}, -1)
trail.log_llm_call(None, {'a': 1}, [Block()], 'many', float('nan'))
trail.close()`)
    expect([code, err]).toEqual([0, ''])
    const events = await eventsOf(served, out.trim())
    const value = (n: number): unknown => events.map(({ content }) => content as { n?: unknown; value?: unknown } | undefined).find((content) => content?.n === n)?.value
    expect(numbers(events).slice(0, 23)).toEqual(count(23))
    expect([value(0), value(1), value(2), value(3), value(4), value(6)]).toEqual(['größer – 42 € 🙂 \u2028', '\ud800', 'nan', '-inf', '1180591620717411303424', 1e300])
    expect([value(7), value(8), value(10), value(11), value(12), value(13), value(14)]).toEqual([{ bytes: 'ff' }, ['[circular]'], '[Rude]', { type: 'text', text: 'hi' }, { x: 1 }, 'red', [1, 2]])
    expect([value(15), value(16), value(17), value(18), value(19), value(20), value(21)]).toEqual([{ 1: 'a', '(2,)': 'b' }, '1.10', '2026-01-02T00:00:00', { 'a\ud83d': null }, null, true, ''])
    expect(events.filter(({ event_type }) => event_type === 'reasoning')).toMatchObject([{ text: 'I think' }])
    expect(events.find(({ names }) => names !== undefined)).toMatchObject({ tool_name: 'other', names: { tool_name: 'Wörter zählen' }, tool_input: {}, step_number: 2 })
    expect(events.filter(({ event_type }) => event_type === 'llm_result')).toMatchObject([{ input_tokens: 2, usage: { input: 1.5, cached: 3 } }, { output_text: '{"a": 1}', usage: 'many', tool_calls_requested: [{ type: 'text', text: 'hi' }] }])
    expect(events.map(({ stream_seq }) => stream_seq)).toEqual(count(events.length))
  })

  test('content that looks like a mark of the server is read back as it was recorded', async () => {
    const at = await place()
    const { parts: { people, keys } } = await serveAt(at)
    people.put({ id: 'reader', tenant: 'default', kind: 'person', name: 'reader', roles: ['agent', 'compliance'] })
    at.key = keys.issue({ tenant: 'default', principal: 'reader' }).key
    const { code, err, out } = await python(at, `${TRAIL}
for value in [{'absent': 'erased'}, {'absent': 'erased', 'by': 877}, {'base64': 'AQI='}, {'json': {'absent': 'erased'}}]: trail.log('note', value)
trail.log_tool_call('odd', {'absent': 'erased'}, {'base64': 'AQI='}, None, 1)
rows = trail.get_session_trail()
trail.close()
import json
print(json.dumps([[row['event_type'], json.loads(row['content']), row.get('marks')] for row in rows if row['event_type'] in ('note', 'tool_call')]))`)
    expect([code, err]).toEqual([0, ''])
    const rows = JSON.parse(out) as unknown[]
    expect(left(at)).toEqual([])
    expect(rows.slice(0, 4)).toEqual([{ absent: 'erased' }, { absent: 'erased', by: 877 }, { base64: 'AQI=' }, { json: { absent: 'erased' } }].map((value) => ['note', value, null]))
    expect(rows[4]).toMatchObject(['tool_call', { tool_input: { absent: 'erased' }, tool_output: { base64: 'AQI=' } }, null])
  })

  test('huge content is cut with its length and hash, and masks are applied by the server', async () => {
    const at = await place()
    const served = await serveAt(at)
    const { code, err, out } = await python(at, `${TRAIL}${SESSION}
trail.log('step', {'n': 0, 'text': 'x' * 6_000_000})
trail.log('step', {'n': 1, 'text': 'y' * 20_000_000})
trail.log('step', {'n': 2, 'list': ['z' * 60_000] * 400})
trail.log('step', {'n': 3, 'card': '4111 1111 1111 1111', 'key': 'sk-ant-api03-' + 'a' * 95})
trail.close(60)`)
    expect([code, err]).toEqual([0, ''])
    const events = (await eventsOf(served, out.trim())).filter(({ event_type }) => event_type === 'custom')
    expect((events[0]!['content'] as { text: string }).text).toHaveLength(6_000_000)
    expect((events[1]!['content'] as { text: string }).text).toMatch(/^y{65536}… \[cut: 20000000 characters, sha256 [0-9a-f]{64}\]$/)
    expect(events[2]).toMatchObject({ name: 'too_large', content: { event_type: 'custom', cut: { characters: expect.any(Number) as number } } })
    expect(JSON.stringify(events[3]!['content'])).toMatch(/masked:/)
    expect(JSON.stringify(events[3]!['content'])).not.toMatch(/4111 1111|aaaaaaaa/)
  }, 60_000)

  test('one event that the server does not take is recorded as text, and keeps none of its neighbours back', async () => {
    const at = await place()
    const served = await serveAt(at)
    const { code, err, out } = await python(at, `${TRAIL}${SESSION}
trail.log('step', {'n': 0})
trail._record('tool_call', {'tool_name': 'spaces are no label', 'tool_input': {}})
trail._record('nonsense', {'a': 1})
trail.log('step', {'n': 1})
trail.close()`)
    expect([code, err]).toEqual([0, expect.stringContaining('does not take a tool_call as it is')])
    const events = await eventsOf(served, out.trim())
    expect(events.map(({ name }) => name)).toEqual([undefined, 'step', 'refused_event', 'refused_event', 'step', undefined])
    expect((events[3]!['content'] as { event: string; code: string })).toMatchObject({ event: expect.stringContaining('"nonsense"') as string, code: 'unknown_event_type' })
    expect(events.map(({ stream_seq }) => stream_seq)).toEqual(count(6))
  })

  test('a key that is not in force, a redirect and a server of another kind lose nothing and show no key', async () => {
    const at = await place()
    await serveAt(at)
    const wrong = await python({ ...at, key: `${at.key}x` }, `${TRAIL}trail.log('step', {'n': 1})\ntrail.close(1)`)
    expect([wrong.code, wrong.err]).toEqual([0, expect.stringContaining('the server answers 401')])
    expect(wrong.err).not.toContain(at.key.slice(0, 12))
    expect(left(at)).toHaveLength(1)
    const seen: (string | undefined)[] = []
    const thief = createServer((request, response) => { seen.push(request.headers.authorization); response.end('{}') })
    const redirecting = createServer((_, response) => { response.writeHead(307, { location: `http://127.0.0.1:${(thief.address() as AddressInfo).port}/` }).end() })
    for (const server of [thief, redirecting]) await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    onTestFinished(() => { thief.close(); redirecting.close() })
    const ran = await python({ ...at, port: (redirecting.address() as AddressInfo).port }, `${TRAIL}trail.log('step', {'n': 1})\nprint(trail._outbox.read_rows('x'))\ntrail.close(1)`)
    expect([ran.code, ran.err, seen]).toEqual([0, expect.stringContaining('the server answers 307'), []])
    const other = await python({ ...at, port: (thief.address() as AddressInfo).port }, `${TRAIL}trail.log('step', {'n': 1})\ntrail.close(1)`)
    expect([other.code, other.err]).toEqual([0, expect.stringContaining('gives no receipt')])
    expect(left(at)).toHaveLength(3)
  })

  test.each([
    ['no server', "import os\ndel os.environ['COUNTERFOIL_URL']\n", 'set COUNTERFOIL_URL'],
    ['no key', "import os\nos.environ['COUNTERFOIL_KEY'] = ''\n", 'set COUNTERFOIL_KEY'],
    ['a key in the clear over a network', "import os\nos.environ['COUNTERFOIL_URL'] = 'http://audit.example.com'\n", 'use https'],
    ['a key with a line break', "import os\nos.environ['COUNTERFOIL_KEY'] = 'a\\r\\nx: y'\n", 'set COUNTERFOIL_KEY'],
    ['a URL with a password', "import os\nos.environ['COUNTERFOIL_URL'] = 'https://a:b@audit.example.com'\n", 'set COUNTERFOIL_URL'],
  ])('%s is said at once', async (_what, before, says) => {
    const at = await place()
    at.key = 'cf_x_y'
    expect(await python(at, before + TRAIL)).toMatchObject({ code: 1, err: expect.stringContaining(says) as string })
  })

  test('a disk that takes no more breaks nothing, and the log shows that events are missing', async () => {
    const at = await place()
    const served = await serveAt(at)
    const { code, err, out } = await python(at, `import counterfoil\n${TRAIL}${SESSION}
trail.log('step', {'n': 0})
real, counterfoil.MAX_OUTBOX_BYTES = counterfoil.MAX_OUTBOX_BYTES, 10
trail.log('step', {'n': 1})
trail.log('step', {'n': 2})
counterfoil.MAX_OUTBOX_BYTES = real
trail.log('step', {'n': 3})
print(trail.flush(20))
trail.close()`)
    expect([code, err.trim().split('\n')]).toEqual([0, [expect.stringContaining('events are not recorded')]])
    const events = await eventsOf(served, out.split('\n')[0]!)
    expect(numbers(events)).toEqual([0, 3])
    expect(events.find(({ event_type }) => event_type === 'gap')).toMatchObject({ from: 2, to: 3 })
    expect(out).toContain('False')
  })
})

/** A person with a role, as whom the server is asked. */
function person(served: Served, role: 'approver' | 'security', id: string) {
  served.parts.people.put({ id, tenant: 'default', kind: 'person', name: id, roles: [role] })
  const { key } = served.parts.keys.issue({ tenant: 'default', principal: id })
  return async (method: string, path: string, body?: object): Promise<{ items: { approval_id: string; state: string }[] }> => {
    const response = await fetch(`${served.url}/v1/${path}`, { method, headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    return (await response.json()) as never
  }
}

/** The request that waits, as soon as there is one. */
async function waiting(as: ReturnType<typeof person>): Promise<string> {
  for (;;) {
    const [first] = (await as('GET', 'approvals?state=open')).items
    if (first !== undefined) return first.approval_id
    await sleep(50)
  }
}

const PEOPLE = `import counterfoil\n${TRAIL}${SESSION}
ran = []
def attempt(run):
    try: return run()
    except counterfoil.Refused as error: return error.code
    except counterfoil.CounterfoilError as error: return type(error).__name__
`

describe.skipIf(noPython !== undefined)(`people and the Python client${noPython === undefined ? '' : ` (skipped: ${noPython})`}`, () => {
  test('it asks, waits and does what was approved, with that input and once; a no, and nobody in time, do not run', async () => {
    const at = await place()
    const served = await serveAt(at)
    const ada = person(served, 'approver', 'ada')
    const { ran } = start(at, `${PEOPLE}
given = {'amount': 5, 'to': 'größer'}
first = trail.ask('pay', given, risk='high', summary='a refund', reasoning=['it is owed'], step=3)
given['amount'] = 6
print(attempt(lambda: trail.act(first, ran.append)), trail.wait(first), first.approver_id, first.comment)
trail.act(first, lambda tool_input: ran.append(tool_input) or {'paid': tool_input['amount']})
print(attempt(lambda: trail.act(first, ran.append)))
second = trail.ask('pay', {'amount': 7})
print(trail.wait(second), second.state, attempt(lambda: trail.act(second, ran.append)))
third = trail.ask('pay', {'amount': 8}, expires=0.5)
print(trail.wait(third), third.state, attempt(lambda: trail.act(third, ran.append)))
fourth = trail.ask('pay', {'amount': 9}, quorum=2)
print(trail.wait(fourth, 0.2), fourth.state)
fails = trail.ask('pay', {'amount': 10})
trail.wait(fails)
def fail(tool_input): raise RuntimeError('the bank is closed')
try: trail.act(fails, fail)
except RuntimeError as error: print(error)
print(ran)
trail.close()`)
    const decide = async (decision: string): Promise<void> => { await ada('POST', `approvals/${await waiting(ada)}/decisions`, { decision, comment: 'seen' }) }
    await decide('approved')
    await decide('rejected')
    const answered = (async () => { // the one that expires is passed by, and so is the one that two people are asked for
      for (;;) {
        const open = (await ada('GET', 'approvals?state=open&limit=1000')).items as unknown as { approval_id: string; quorum: number; expires_at: string; asked_at: string }[]
        const one = open.find(({ quorum, expires_at, asked_at }) => quorum === 1 && Date.parse(expires_at) - Date.parse(asked_at) > 60_000)
        if (one !== undefined) return ada('POST', `approvals/${one.approval_id}/decisions`, { decision: 'approved' })
        await sleep(50)
      }
    })()
    const { code, out, err } = await ran
    await answered
    const [session_id, ...lines] = out.trim().split('\n')
    expect([code, err, lines]).toEqual([0, '', ['ApprovalDenied True ada seen', 'approval_used', 'False rejected ApprovalDenied', 'False expired ApprovalDenied', 'False open', 'the bank is closed', "[{'amount': 5, 'to': 'größer'}]"]])
    const events = await eventsOf(served, session_id!)
    expect(events.filter(({ event_type }) => event_type.startsWith('tool_')).map(({ event_type, outcome, capture, approval }) => [event_type, outcome, capture, typeof approval])).toEqual([
      ['tool_call', null, 'before', 'number'], ['tool_result', 'success', 'after', 'undefined'], ['tool_call', 'denied', 'before', 'undefined'], ['tool_result', 'denied', 'after', 'undefined'],
      ['tool_call', null, 'before', 'number'], ['tool_result', 'failure', 'after', 'undefined'],
    ])
    expect(events.find(({ event_type }) => event_type === 'approval_request')).toMatchObject({ tool_input: { amount: 5, to: 'größer' }, risk: 'high', step_number: 3 })
    expect(events.find(({ event_type }) => event_type === 'tool_call')).toMatchObject({ tool_input: { amount: 5, to: 'größer' }, requires_approval: true, risk: 'high' })
    expect(findingsOf(session_id!, events).map(({ rule }) => rule)).not.toContain('unapproved_act')
    expect(events.some(({ event_type }) => event_type === 'gap')).toBe(false)
  })

  test('an approval that is old by the time of the act is refused by the log, and the act does not run', async () => {
    const at = await place()
    const served = await serveAt(at)
    const ada = person(served, 'approver', 'ada')
    const { child, ran } = start(at, `${PEOPLE}
approval = trail.ask('pay', {'amount': 5}, expires=4)
print(trail.wait(approval), approval.expires_at, flush=True)
input()
print(attempt(lambda: trail.act(approval, ran.append)), ran)
trail.close()`)
    let out = ''
    child.stdout!.on('data', (text: string) => { out += text })
    await ada('POST', `approvals/${await waiting(ada)}/decisions`, { decision: 'approved' })
    await expect.poll(() => out, { timeout: 20_000 }).toContain('True')
    const expires = Date.parse(/True (\S+)/.exec(out)![1]!)
    while (Date.now() <= expires + 50) await sleep(50)
    child.stdin!.end('go on\n')
    expect((await ran).out.trim().split('\n').at(-1)).toBe('approval_expired []')
  })

  test('a process that is killed while it waits is followed by one that takes its session up, and nobody is asked twice', async () => {
    const at = await place()
    const served = await serveAt(at)
    const ada = person(served, 'approver', 'ada')
    const { child, ran } = start(at, `${PEOPLE}\napproval = trail.ask('pay', {'amount': 5}, risk='high')\ntrail.wait(approval)`)
    const approval_id = await waiting(ada)
    child.kill('SIGKILL')
    const session_id = (await ran).out.trim()
    const next = start(at, `${PEOPLE.replace("'Be brief.')", "'Be brief.', session_id=sys.argv[1])").replace('import counterfoil', 'import counterfoil, sys')}
approval = trail.ask('pay', {'amount': 5}, risk='high')
print(approval.approval_id, trail.wait(approval))
print(trail.act(approval, lambda tool_input: ran.append(tool_input) or len(ran)))
other = trail.ask('pay', {'amount': 5}, risk='high')
print(other.approval_id != approval.approval_id, other.state)
trail.close()`, [session_id])
    await expect.poll(async () => (await eventsOf(served, session_id)).map(({ event_type }) => event_type), { timeout: 20_000 }).toContain('session_resume')
    await ada('POST', `approvals/${approval_id}/decisions`, { decision: 'approved' })
    const { code, out, err } = await next.ran
    expect([code, err, out.trim().split('\n')]).toEqual([0, '', [session_id, `${approval_id} True`, '1', 'True open']])
    const events = await eventsOf(served, session_id)
    expect(events.filter(({ event_type }) => event_type === 'approval_request')).toHaveLength(2)
    expect(events.some(({ event_type }) => event_type === 'gap')).toBe(false)
  })

  test('a stop by an operator is seen by who looks, who waits and who acts, and nothing runs after it', async () => {
    const at = await place()
    const served = await serveAt(at)
    const [ada, sam] = [person(served, 'approver', 'ada'), person(served, 'security', 'sam')]
    const { child, ran } = start(at, `${PEOPLE}
approved = trail.ask('pay', {'amount': 5})
trail.wait(approved)
waits = trail.ask('pay', {'amount': 6})
print('ready', trail.stopped.is_set(), flush=True)
print(attempt(lambda: trail.wait(waits)))
print(trail.stopped.wait(30))
print(attempt(lambda: trail.act(approved, ran.append)), attempt(lambda: trail.ask('pay', {'amount': 7})))
trail.stopped.clear()
print(attempt(lambda: trail.act(approved, ran.append)), ran)
trail.close()`)
    let out = ''
    child.stdout!.on('data', (text: string) => { out += text })
    await ada('POST', `approvals/${await waiting(ada)}/decisions`, { decision: 'approved' })
    await expect.poll(() => out, { timeout: 20_000 }).toContain('ready False')
    const session_id = out.split('\n')[0]!
    await sam('POST', `sessions/${session_id}/interventions`, { kind: 'stop', note: 'enough' })
    const { code, out: all, err } = await ran
    expect([code, err, all.trim().split('\n').slice(2)]).toEqual([0, '', ['SessionStopped', 'True', 'SessionStopped SessionStopped', 'SessionStopped []']])
    // the last one the log itself refused
    expect((await eventsOf(served, session_id)).filter(({ event_type }) => event_type === 'tool_call').map(({ outcome }) => outcome)).toEqual(['denied'])
  })

  test('without a server nobody is asked, and nothing is done that is not on record', async () => {
    const at = await place()
    const served = await serveAt(at)
    const ada = person(served, 'approver', 'ada')
    const { child, ran } = start(at, `${PEOPLE}
for bad in (float('nan'), 2**53, {'at': object()}, b'x', {'deep': [2**60]}): print(attempt(lambda: trail.ask('pay', bad)), end=' ')
print(attempt(lambda: trail.ask('pay; drop', {})), attempt(lambda: trail.ask('pay', {}, quorum=99)))
approval = trail.ask('pay', {'amount': 5})
print(trail.wait(approval), flush=True)
input()
print(attempt(lambda: trail.act(approval, ran.append, timeout=0.3)), attempt(lambda: trail.ask('pay', {}, timeout=0.3)), ran, flush=True)
input()
print(trail.flush(60))`)
    let out = ''
    child.stdout!.on('data', (text: string) => { out += text })
    await ada('POST', `approvals/${await waiting(ada)}/decisions`, { decision: 'approved' })
    await expect.poll(() => out, { timeout: 20_000 }).toContain('True')
    await served.close()
    child.stdin!.write('go on\n')
    await expect.poll(() => out, { timeout: 20_000 }).toContain('[]')
    const again = await serveAt(at)
    child.stdin!.end('go on\n')
    const { code, out: all } = await ran
    const [session_id, ...lines] = all.trim().split('\n')
    expect([code, lines]).toEqual([0, [`${'CounterfoilError '.repeat(5)}CounterfoilError bad_body`, 'True', 'CounterfoilError CounterfoilError []', 'True']])
    const events = await eventsOf(again, session_id!)
    expect(events.filter(({ event_type }) => event_type === 'approval_request')).toHaveLength(1)
    expect(events.filter(({ event_type }) => event_type === 'tool_result')).toMatchObject([{ outcome: 'denied' }]) // the intent came late, and is known not to have happened
  })

  test('what the key may not write as one agent is set aside, counted and told, keeps nothing else back, and is offered again', async () => {
    const at = await place()
    const served = await serveAt(at)
    const grant = (agents: string[]): void => { served.parts.people.put({ id: 'py', tenant: 'default', kind: 'agent', name: 'py', roles: ['agent'], agents }) }
    grant(['bot'])
    const { code, out, err } = await python(at, `${TRAIL}${SESSION}
other = AgentAuditTrail('a.db', 'stranger', 'm')
print(other.session_id)
for n in range(30):
    trail.log('step', {'n': n})
    other.log('step', {'n': n})
print(trail.flush(30), trail.refused)
for n in range(30, 40):
    other.log('step', {'n': n})
    trail.flush(30)
trail.log('step', {'n': 30})
trail.flush(30)
print(other.refused)
trail.close()`)
    const [own, refused, ...lines] = out.trim().split('\n')
    expect([code, lines]).toEqual([0, ['False 31', '41']])
    expect(err.trim().split('\n')).toEqual([expect.stringContaining('does not take events of session'), expect.stringContaining('41 events are set aside')])
    expect([numbers(await eventsOf(served, own!)), await eventsOf(served, refused!)]).toEqual([count(31), []])
    const { ledger } = served.parts.tenants.open('default')!
    const denials = async (): Promise<number> => (await ledger.call<{ items: unknown[] }>('events', { event_types: ['access'], outcome: 'denied' }, 1_000)).items.length
    const before = await denials()
    expect(before).toBeLessThanOrEqual(3) // not one for each batch
    const still = await python(at, `${TRAIL}trail.close()`) // it may not yet, and loses nothing
    expect([still.code, still.err]).toEqual([0, expect.stringContaining('41 events are set aside')])
    grant(['bot', 'stranger'])
    const next = await python(at, `${TRAIL}print(trail.flush(30), trail.refused)\ntrail.close()`)
    expect([next.code, next.out, next.err]).toEqual([0, 'True 0\n', ''])
    expect(numbers(await eventsOf(served, refused!))).toEqual(count(40))
    expect(left(at)).toEqual([])
  })

  test('what a killed process had set aside is offered before what it had not sent, so that no part of a session goes without its beginning', async () => {
    const at = await place()
    const served = await serveAt(at)
    const grant = (agents: string[]): void => { served.parts.people.put({ id: 'py', tenant: 'default', kind: 'agent', name: 'py', roles: ['agent'], agents }) }
    grant(['bot'])
    const killed = await python(at, `${TRAIL}
import os, signal, counterfoil
other = AgentAuditTrail('a.db', 'stranger', 'm')
print(other.session_id, flush=True)
trail.flush(30)
trail._outbox._send = lambda *_: False # it is cut off
for n in range(5): other.log('step', {'n': n})
os.kill(os.getpid(), signal.SIGKILL)`)
    expect(left(at)).toHaveLength(2) // one of them in refused/
    const refused = killed.out.trim()
    const next = await python(at, `${TRAIL}trail.flush(30)\nprint(trail.refused)\ntrail.close()`)
    expect([next.out, await eventsOf(served, refused)]).toEqual(['6\n', []])
    grant(['bot', 'stranger'])
    expect(await python(at, `${TRAIL}trail.close()`)).toMatchObject({ code: 0, err: '' })
    const events = await eventsOf(served, refused)
    expect([events[0]?.event_type, numbers(events), events.some(({ event_type }) => event_type === 'gap'), left(at)]).toEqual(['session_start', count(5), false, []])
  })
})
