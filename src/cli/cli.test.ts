import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VerifyError } from '../base/errors.ts'
import { Absent, type ViewEvent } from '../event/view.ts'
import { VOCABULARY } from '../event/vocabulary.ts'
import type { CliTrail } from './api.ts'
import { keyLines } from './commands/keys.ts'
import { csvCell } from './commands/sql.ts'
import { doctorLines } from './commands/doctor.ts'
import type { Context } from './context.ts'
import { event, EVENTS, FAILED, fakeTrail, idOf, SESSION, SUMMARY, testContext, VERDICT, type Told } from './fixtures.ts'
import { parseMoment } from './moment.ts'
import { run } from './program.ts'
import { fitColumns, render, width } from './terminal.ts'

async function counterfoil(args: readonly string[], more: Partial<Context> & { columns?: number; given?: CliTrail } = {}): Promise<Told & { code: number }> {
  const told: Told = { out: '', err: '' }
  const code = await run(args, ({ json, trail, purpose }) => testContext(told, { json, purpose, ...(trail === undefined ? {} : { trail }), ...(more.given === undefined ? {} : { open: async () => more.given! }), ...more }))
  return { ...told, code }
}

function expectNarrow(text: string, columns = 80): void {
  expect(text.split('\n').filter((line) => width(line) > columns)).toEqual([])
}

describe('screens at 80 columns', () => {
  for (const args of [[], ...['demo', 'init', 'doctor', 'docs', 'sessions', 'show', 'tail', 'why', 'sql', 'verify', 'export', 'open', 'prove', 'backup', 'restore', 'archive', 'erase', 'keys', 'serve', 'people'].map((verb) => [verb])]) {
    test(`help ${args.join('')}`, async () => {
      const { out, code } = await counterfoil([...args, '--help'])
      expect(code).toBe(0)
      expect(out).toMatchSnapshot()
      expectNarrow(out, 92)
      expect(out).toContain('Examples:')
    })
  }

  test('show', async () => {
    const { out, code } = await counterfoil(['show', '7f3a91c2'])
    expect(code).toBe(0)
    expect(out).toMatchSnapshot()
    expectNarrow(out)
  })

  test('show --full has every payload, and lists only once', async () => {
    const { out } = await counterfoil(['show', 'last', '--full'])
    expect(out).toMatchSnapshot()
    expectNarrow(out)
  })

  test('sessions', async () => {
    const erased = { ...SUMMARY, session_id: SESSION.replace(/.$/, '0'), user_id: new Absent('erased', 877), outcome: null, state: 'open' as const, ended_at: null, events: 12_345 }
    const { out } = await counterfoil(['sessions'], { given: fakeTrail(EVENTS, { summaries: [SUMMARY, erased, { ...SUMMARY, agent_id: 'a-very-long-name-of-an-agent-that-does-not-fit', state: 'interrupted' }] }) })
    expect(out).toMatchSnapshot()
    expectNarrow(out)
  })

  test('tail', async () => {
    const { out } = await counterfoil(['tail', '--no-follow'])
    expect(out).toMatchSnapshot()
    expectNarrow(out)
  })

  test('why', async () => {
    const { out, code } = await counterfoil(['why'])
    expect(code).toBe(0)
    expect(out).toMatchSnapshot()
    expectNarrow(out)
  })

  test('verify', async () => {
    const { out, code } = await counterfoil(['verify'], { now: () => 0 })
    expect(code).toBe(0)
    expect(out.replace(/^\S+ · log/, 'agent_audit.db · log')).toMatchSnapshot()
    expectNarrow(out)
  })

  test('verify of what is new', async () => {
    const asked: unknown[] = []
    const given = fakeTrail(EVENTS, { verify: async ({ since, jobs }) => (asked.push({ since, jobs }), { ...VERDICT, since: 12 }) })
    const { out } = await counterfoil(['verify', '--since', '--jobs', '3'], { now: () => 0, given })
    expect(out).toMatch(/^whole from #12 on, not witnessed/m)
    expect(asked).toEqual([{ since: 'proved', jobs: 3 }])
    for (const args of [['--jobs', '0'], ['--jobs', 'all'], ['--since', 'no-such-file'], ['--against', 'x.db', '--since'], ['--against', 'x.db', '--jobs', '2']]) expect((await counterfoil(['verify', ...args])).code, args.join(' ')).toBe(2)
  })

  test('verify of a record that was changed', async () => {
    const { out, code } = await counterfoil(['verify'], { now: () => 0, given: fakeTrail(EVENTS, { verify: async () => FAILED }) })
    expect(code).toBe(1)
    expect(out.replace(/^\S+ · log/, 'agent_audit.db · log')).toMatchSnapshot()
  })

  test('sql', async () => {
    const given = fakeTrail(EVENTS, { sql: async () => ({ columns: ['event_type', 'n', 'content'], rows: [['llm_call', 3, 'x'.repeat(200)], ['tool_call', 12, null], ['note', 1, '=cmd|\n"a"']] }) })
    const table = await counterfoil(['sql', 'SELECT 1'], { given })
    const csv = await counterfoil(['sql', 'SELECT 1', '--csv'], { given })
    expect(table.out + csv.out).toMatchSnapshot()
    expectNarrow(table.out)
  })

  test('keys and doctor', () => {
    const keys = keyLines({
      folder: '/home/ada/.local/state/counterfoil/counterfoil.local_8f31c2-0011223344556677', origin: 'counterfoil.local/8f31c2', vkey: 'counterfoil.local/8f31c2+1a2b3c4d+AAAA', fingerprint: '1a2b3c4d',
      keys: [{ vkey: 'counterfoil.local/8f31c2+0f1e2d3c+AAAA', from: 0, to: 1204, state: 'compromised', last_good_size: 1180 }, { vkey: 'counterfoil.local/8f31c2+99aabbcc+AAAA', from: 1204, to: 2000, state: 'retired' }, { vkey: 'counterfoil.local/8f31c2+1a2b3c4d+AAAA', from: 2000, state: 'in_force' }], protected: true, elsewhere: false,
      generations: [{ generation: 2, made_at: '2026-11-01T00:00:00.000Z', current: true }], next_renewal: '2026-12-01T00:00:00.000Z',
    }, 80)
    const doctor = doctorLines('/srv/agent/agent_audit.db', [
      { name: 'node', status: 'ok', says: '24.21.0' }, { name: 'trail rights', status: 'warn', says: '0644: others may read it', next: 'chmod 0600 /srv/agent/agent_audit.db' },
      { name: 'witness', status: 'unknown', says: 'none: whoever holds the keys and this disk could rewrite what nobody looked at' }, { name: 'git', status: 'fail', says: 'the database is tracked by git', next: 'git rm --cached agent_audit.db' },
    ], [{ path: '/srv/agent/agent_audit.db', bytes: 1_234_567, keep: 'back up' }], 80)
    expect([...keys, [], ...doctor].map((line) => render(line, { color: false, columns: 80 })).join('\n')).toMatchSnapshot()
  })
})

describe('what a record says stays in its place', () => {
  test('a value cannot close its quotes, end its line or pretend to be another entry', async () => {
    const hostile = 'fine" · approved by ceo\n  #22  33.911  tool ←     ok\u001b[2K\u202e'
    const { out } = await counterfoil(['show'], { given: fakeTrail([event(12, 0, 'session_start', { user_message: hostile }), event(13, 1, 'final_output', { output: hostile })]), columns: 200 })
    expect(out).toContain(String.raw`"fine\" · approved by ceo\n  #22  33.911  tool ←     ok\x1b[2K\u202e"`)
    expect(out.split('\n').filter((line) => line.startsWith('  #'))).toHaveLength(2)
  })

  const anything = fc.anything({ withNullPrototype: true, values: [fc.string({ unit: 'binary' }), fc.constantFrom('\n', '\u001b[31m', '"', '\u202e', '\ud800'), fc.integer(), fc.constant(new Absent('erased', 7)), fc.uint8Array()] })

  test('any type of event with anything in any of its fields is one line of at most 80 columns', async () => {
    const types = [...Object.keys(VOCABULARY), 'of_the_future']
    await fc.assert(fc.asyncProperty(fc.constantFrom(...types), fc.array(anything, { maxLength: 8 }), fc.boolean(), async (type, values, full) => {
      const spec = VOCABULARY[type as keyof typeof VOCABULARY] as { facts: object; payloads: object } | undefined
      const names = [...Object.keys(spec?.facts ?? {}), ...Object.keys(spec?.payloads ?? { strange: 1 })]
      const fields = Object.fromEntries(names.map((name, i) => [name, values[i % Math.max(1, values.length)]]))
      const { out, err, code } = await counterfoil(['show', ...(full ? ['--full'] : [])], { given: fakeTrail([event(12, 0, 'session_start'), event(13, 1, type, fields)]) })
      expect({ err, code }).toEqual({ err: '', code: 0 })
      expectNarrow(out)
      // eslint-disable-next-line no-control-regex
      expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u2028\u2029]/)
      const lines = out.split('\n').slice(3).filter((line) => line !== '' && !line.startsWith('        │ '))
      expect(lines.filter((line) => /^ {2}#1[23] {2}/.test(line))).toHaveLength(2)
      expect(lines.filter((line) => !/^ {2}(?:#1[23] {2}|1 call: | {8}\S)/.test(line))).toEqual([])
    }), { numRuns: 300, examples: [['tool_call', ['\n'], false]] }) // found once: a tool's name began a line of the note on calls without a result
  })

  test('the fields of an event stand in the order of docs/cli.md', async () => {
    const documented = /\| `show`, `tail` \|[^`]*`([^`]+)`, then the facts and payloads[^`]*`([^`]+)`/.exec(readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8'))!.slice(1).map((names) => names.split(', '))
    for (const args of [['show'], ['tail', '--no-follow']]) {
      const { out } = await counterfoil([...args, '--json'], { given: fakeTrail([event(21, 1, 'tool_call', { zebra: 1, tool_input: {}, apple: 2, risk: 'low', tool_name: 'refund' })]) })
      expect(Object.keys(JSON.parse(out) as object)).toEqual([...documented[0]!, 'tool_name', 'risk', 'tool_input', 'apple', 'zebra', ...documented[1]!])
    }
  })

  test('JSON is one value a line, and says what is absent', async () => {
    const { out } = await counterfoil(['show', '--json'], { given: fakeTrail([event(12, 0, 'session_start', { user_message: new Absent('erased', 877) })]) })
    expect(out.trimEnd().split('\n').map((line) => JSON.parse(line) as ViewEvent)[0]?.['user_message']).toEqual({ absent: 'erased', by: 877 })
  })
})

describe('naming things', () => {
  test.each([['last'], ['7f3a91c2'], [SESSION], ['#16'], [idOf(17)]])('show %s finds the session', async (name) => {
    expect((await counterfoil(['show', name])).out).toContain('session 7f3a91c2')
  })

  test('an ambiguous beginning lists the candidates', async () => {
    const { err, code } = await counterfoil(['show', '019aa552'])
    expect(code).toBe(2)
    expect(err).toContain('019aa552 could be one of')
    expect(err).toContain(`${SESSION}  session of customer-service-v1, 2026-11-21 08:00:00Z`)
  })

  test.each([['abc'], ['#x'], ['no such thing'], ['ffffffff'], ['#99']])('%s is an error that says what to do', async (name) => {
    const { err, code } = await counterfoil(['show', name])
    expect([code, err]).toMatchSnapshot()
  })

  test('moments', () => {
    const now = Date.UTC(2026, 10, 21, 8)
    expect(['2026-11-20', '2026-11-20T07:30', '2026-11-20 07:30Z', '2026-11-20T07:30+02:00', 'yesterday', 'today', '90m', '12h', '3d', '2w'].map((text) => parseMoment(text, now).toISOString())).toMatchSnapshot()
    for (const text of ['', 'soon', '2026-13-01', '1y', '2026-11-20T25:00']) expect(() => parseMoment(text, now)).toThrow(/expected a time/)
  })
})

describe('exit codes', () => {
  test('a missing database is an error, and is not created', async () => {
    const { err, code } = await counterfoil(['show', '--trail', '/nowhere/agent_audit.db'])
    expect([code, err]).toEqual([2, 'counterfoil: cli: there is no trail at /nowhere/agent_audit.db; check the path; nothing was created\n'])
  })

  test('an URL that is none of a server is refused, and its password is not repeated', async () => {
    const { err, code } = await counterfoil(['show', '--db', 'postgres://me:secret@db.example.com'])
    expect([code, err]).toEqual([2, 'counterfoil: cli: --trail is an URL that begins with postgres://, expected https:// or a path; name a server by its https URL, a file with --trail PATH\n'])
  })

  test('a purpose goes with a server, since nobody puts on record who reads a file', async () => {
    expect(await counterfoil(['show', '--purpose', 'case 4711'])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('--purpose goes with a server') })
  })

  test.each([['--version'], ['-V']])('%s is the version of the package', async (option) => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
    expect(await counterfoil([option])).toEqual({ code: 0, out: `${version}\n`, err: '' })
    expect(await counterfoil(['show', option])).toEqual({ code: 0, out: `${version}\n`, err: '' })
    expect(JSON.parse((await counterfoil([option, '--json'])).out)).toEqual({ version })
  })

  test('a file: URL is decoded, and one that would name another file is refused', async () => {
    const opened: string[] = []
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-url-'))
    const path = join(folder, 'a b#1é.db')
    writeFileSync(path, '')
    const open = async (file: string): Promise<CliTrail> => { opened.push(file); return fakeTrail() }
    for (const url of [pathToFileURL(path).href, pathToFileURL(path).href.replace('file:///', 'FILE:/')]) expect(await counterfoil(['show', '--trail', url], { open })).toMatchObject({ code: 0 })
    expect(await counterfoil(['show'], { open, trail: undefined as never, env: { COUNTERFOIL_DB: pathToFileURL(path).href } })).toMatchObject({ code: 0 })
    expect(opened).toEqual([path, path, path])
    for (const url of ['file:a.db', 'file://elsewhere/a.db', `file://${folder}/a b#1.db`, `file://${folder}/a.db?mode=ro`, 'file:///%2f']) {
      const { code, err } = await counterfoil(['show', '--trail', url], { open })
      expect([code, err]).toEqual([2, expect.stringContaining('expected file:///PATH')])
    }
    rmSync(folder, { recursive: true })
  })

  test('3 when a required property is not proved', async () => {
    const { out, code } = await counterfoil(['verify', '--require', 'unchanged,witnessed'])
    expect(code).toBe(3)
    expect(out).toContain('required and not proved: witnessed')
  })

  test.each([[['verify', '--require', 'everything']], [['shwo']], [['show', 'a', 'b']], [['sql']], [['erase', 'last']], [['erase', '--reason', 'x']], [['erase', 'last', '--reason', 'x']], [['sessions', '--since', 'soon']], [['sessions', '-n', '0']]])('2 for %j', async (args) => {
    const { err, code } = await counterfoil(args)
    expect([code, err]).toMatchSnapshot()
  })

  test('1 when evidence of tampering keeps a trail from opening', async () => {
    const { code, err } = await counterfoil(['show'], { open: async () => { throw new VerifyError('rolled_back', 'ledger: the log ends at 20, and 31 were signed', 'look for a newer copy', { first_bad_index: 20 }) } })
    expect([code, err]).toEqual([1, 'counterfoil: ledger: the log ends at 20, and 31 were signed; look for a newer copy\n'])
  })

  test('--json errors are JSON', async () => {
    const { err } = await counterfoil(['show', 'ffffffff', '--json'])
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'not_found' } })
  })

  test.each([
    [['shwo'], 'unknown_command'], [['show', '--everything'], 'unknown_option'], [['show', 'a', 'b'], 'excess_arguments'], [['sql'], 'missing_argument'], [['erase', 'last'], 'missing_mandatory_option_value'],
    [['sessions', '-n', '0'], 'invalid_argument'], [['keys', 'destroy'], 'bad_argument'], [[], 'no_command'], [['help', 'nothing'], 'no_command'], [['sessions', '--since', 'soon'], 'bad_time'], [['sql', 'SELECT 1', '--csv'], 'two_formats'],
    [['show', '--trail', '/nowhere/a.db'], 'no_trail'], [['erase', '--reason', 'x'], 'erase_what'], [['show', 'abc'], 'bad_id'], [['show', '#99'], 'not_found'], [['docs', 'nothing'], 'no_topic'],
  ])('with --json, %j is one line of JSON that says what to do next, once', async (args, code) => {
    const told = await counterfoil([...args, '--json'])
    expect([told.code, told.out]).toEqual([2, ''])
    expect(told.err).toMatch(/^[^\n]+\n$/)
    const { error } = JSON.parse(told.err) as { error: { code: string; message: string; next: string } }
    expect(error).toEqual({ code, message: expect.stringMatching(/^\S+: ./), next: expect.stringMatching(/./) })
    expect(error.message).not.toContain(error.next)
    expect(Object.keys(error)).toEqual(['code', 'message', 'next'])
  })

  test('an error nobody foresaw has a next step too', async () => {
    const { err } = await counterfoil(['show', '--json'], { open: async () => { throw new Error('out of cheese') } })
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'unexpected', message: 'out of cheese', next: expect.stringContaining('COUNTERFOIL_DEBUG=1') } })
  })
})

test('erase asks, and does nothing on no', async () => {
  const asked: string[] = []
  const given = fakeTrail(EVENTS, { erasable: async () => ({ sessions: [SESSION], ends: [SESSION], events: 13, payloads: 20, scopes: 2, kept: 1 }) })
  const { code, err } = await counterfoil(['erase', 'last', '--reason', 'x'], { given, interactive: true, confirm: async (question) => { asked.push(question); return false } })
  expect([code, asked]).toEqual([2, ['Erase the content of session 7f3a91c2 for ever (1 session with 20 payloads of 13 events)?']])
  expect(err).toBe('1 scope of other persons in these sessions stays\n1 session ends with it, if still open\nnothing was erased\n')
})

test('a call without a result is pointed out', async () => {
  const { out } = await counterfoil(['show'], { given: fakeTrail(EVENTS.filter(({ index }) => index !== 22)) })
  expect(out).toContain('1 call: #21 refund has no result on record: whether it happened is not known')
})

describe('why, where nothing was done', () => {
  const refused = [
    ...EVENTS.filter(({ index }) => index < 20),
    event(20, 33.015, 'approval_decision', { request: 'hash-19', decision: 'rejected', approver: 'ab'.repeat(16), identity: { subject: 'lead-2', role: 'approver' }, outcome: 'denied' }),
    event(21, 41.2, 'session_end', { outcome: 'success' }),
  ]

  test('a refused request of high risk is explained rather than the harmless act before it, and it says that there was no act', async () => {
    const { out } = await counterfoil(['why'], { given: fakeTrail(refused) })
    expect(out).toMatch(/^asked to do: refund \{"order_id":"1182","amount":42\} · high\n#19, /)
    expect(out.replaceAll(/\s+/g, ' ')).toMatch(/no such act is on record; it was rejected in #20/)
    expect(out).not.toContain('happened')
  })

  test('a request that became an act names it, and the act is what why is about', async () => {
    expect((await counterfoil(['why', '#19'])).out).toContain('it was done in #21\n')
    expect((await counterfoil(['why', '7f3a91c2'])).out).toMatch(/^refund /)
  })
})

test('what is copied is whole in one line, on any screen', () => {
  const folder = `/home/ada/${'long/'.repeat(30)}keys`
  const vkey = `counterfoil.local/8f31c2+1a2b3c4d+${'A'.repeat(120)}`
  const lines = keyLines({ folder, origin: `counterfoil.local/${'8'.repeat(90)}`, vkey, fingerprint: '1a2b', keys: [], protected: false, elsewhere: false, generations: [], next_renewal: null }, 40).map((line) => render(line, { color: false, columns: 40 }))
  for (const value of [folder, vkey]) expect(lines).toContain(`  ${value}`)
  expect(lines[0]).toBe(`counterfoil.local/${'8'.repeat(90)}`)
  const run = `chmod 0700 '${folder}'`
  const doctor = doctorLines(`${folder}/audit.db`, [{ name: 'keys rights', status: 'fail', says: `0755: others may read ${folder}`, next: 'run', run }], [{ path: folder, bytes: 1, keep: 'keys' }], 40).map((line) => render(line, { color: false, columns: 40 }))
  expect(doctor[0]).toBe(`${folder}/audit.db`)
  for (const value of [folder, run]) expect(doctor.map((line) => line.trim())).toContain(value)
})

test('a note is wrapped, never cut', async () => {
  const calls = [13, 14, 15, 16].map((index) => event(index, 1, 'tool_call', { tool_name: `transfer_funds_of_account_${index}`, risk: 'low', tool_input: {} }))
  const { out } = await counterfoil(['show'], { given: fakeTrail([event(12, 0, 'session_start'), ...calls]) })
  expect(out.slice(out.indexOf('4 calls: ')).replaceAll(/\s+/g, ' ')).toBe('4 calls: #13 transfer_funds_of_account_13, #14 transfer_funds_of_account_14, #15 transfer_funds_of_account_15, #16 transfer_funds_of_account_16 has no result on record: whether it happened is not known ')
  expectNarrow(out)
})

test('a thrown text is told by itself, not by its type', async () => {
  const { out } = await counterfoil(['show'], { given: fakeTrail([event(12, 0, 'session_start'), event(13, 1, 'tool_call', { tool_name: 'a', risk: 'low', tool_input: {} }), event(14, 1, 'tool_result', { parent_event_id: idOf(13), outcome: 'failure', error_type: 'string', error: 'the till is shut' })]) })
  expect(out).toContain('tool ←     failed · "the till is shut"')
})

test('parallel calls: each result names its call', async () => {
  const call = (index: number, tool_name: string): ViewEvent => event(index, 1, 'tool_call', { tool_name, risk: 'low', tool_input: {} })
  const result = (index: number, of: number): ViewEvent => event(index, 2, 'tool_result', { parent_event_id: idOf(of), outcome: 'success', execution_time_ms: 5 })
  const { out } = await counterfoil(['show'], { given: fakeTrail([event(12, 0, 'session_start'), call(13, 'a'), call(14, 'b'), result(15, 13), result(16, 14)]) })
  expect(out).toContain('tool ←     #13 a · ok · 5 ms')
  expect(out).toContain('tool ←     #14 b · ok · 5 ms')
})

test('cells of a spreadsheet begin no formula', () => {
  expect(['=1+1', '+1', '-1', '@x', -1, 'a,b', 'a"b', 'a\nb', ' x', null, new Uint8Array(3)].map(csvCell)).toEqual(["'=1+1", "'+1", "'-1", "'@x", '-1', '"a,b"', '"a""b"', 'a\\nb', '" x"', '', '<3 bytes>'])
})

test('columns share the room', () => {
  fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 12 }), (wanted) => {
    const widths = fitColumns(wanted, 80)
    expect(widths.reduce((sum, one) => sum + one, 0) + 2 * (wanted.length - 1)).toBeLessThanOrEqual(80)
    expect(widths.every((one, i) => one <= wanted[i]!)).toBe(true)
  }))
})
