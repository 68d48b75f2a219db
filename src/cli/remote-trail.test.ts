// The command line over a server that listens: what it prints over the URL is what it prints over the file beside it.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SECRET, trailServer, type TrailServer } from '../../test/server-trail.ts'
import { concat, u32be } from '../base/bytes.ts'
import { RemoteError } from '../base/errors.ts'
import { uuidv7 } from '../base/ids.ts'
import { encodeDraft } from '../event/draft.ts'
import { bundleIn } from '../verify/bundle-text.ts'
import { verifyBundle } from '../verify/bundle.ts'
import { ROLES } from '../server/roles.ts'
import { EVENTS, fakeTrail, testContext, type Told } from './fixtures.ts'
import { openCliTrail } from './open.ts'
import { run } from './program.ts'
import { removeTemporaryPage } from './temporary-page.ts'

interface Said extends Told { readonly code: number }

/** A minute from now, for all: how long ago something was is the same in both. */
const NOW = Date.now() + 60_000

/** Runs the command line with this environment. */
async function counterfoil(env: { readonly [name: string]: string }, ...args: string[]): Promise<Said> {
  const told: Told = { out: '', err: '' }
  const code = await run(args, ({ json, trail, purpose }) => testContext(told, { json, trail, purpose, env, now: () => NOW, open: (place, mode) => openCliTrail(place, mode, env, undefined, purpose) }))
  return { ...told, code }
}

/** The same over the server and over its file. */
function both(server: TrailServer, key: string, purpose: string | undefined = 'case 4711'): { remote(...args: string[]): Promise<Said>; local(...args: string[]): Promise<Said> } {
  const env = { COUNTERFOIL_URL: server.url, COUNTERFOIL_KEY: key, ...(purpose === undefined ? {} : { COUNTERFOIL_PURPOSE: purpose }) }
  return { remote: (...args) => counterfoil(env, ...args), local: (...args) => counterfoil({}, ...args, '--trail', server.db) }
}

async function ask(server: TrailServer, session_id: string, more: { readonly quorum?: number } = {}): Promise<{ request: string; index: number }> {
  const request = uuidv7(Date.now())
  const input = JSON.stringify({ amount: 42, note: SECRET })
  const bytes = encodeDraft({ event_id: request, event_type: 'approval_request', session_id, timestamp: new Date().toISOString(), capture: 'before', facts: { tool_name: 'refund', risk: 'high', expires_at: new Date(Date.now() + 600_000).toISOString(), ...more }, payloads: { tool_input: { m: 'json', content: input } } })
  const { body } = await server.ask(server.key('agent', { id: 'asker' }), 'POST', '/v1/drafts', concat(u32be(bytes.length), bytes), { 'content-type': 'application/vnd.counterfoil.drafts' })
  return { request, index: body.receipts[0].index }
}

async function openSession(server: TrailServer, agent_id = 'refund-bot'): Promise<string> {
  const session_id = uuidv7(Date.now())
  await server.ask(server.key('agent', { id: 'asker' }), 'POST', '/v1/events', { event_type: 'session_start', session_id, agent_id, user_id: `${SECRET}-9` })
  return session_id
}

describe('over a server', () => {
  test('every command that reads prints what it prints over the file', async () => {
    const server = await trailServer()
    const session_id = await openSession(server)
    await ask(server, session_id)
    await server.ask(server.key('agent', { id: 'asker' }), 'POST', '/v1/events', { event_type: 'tool_call', session_id, tool_name: 'refund', risk: 'critical', tool_input: { amount: 42 } })
    const { remote, local } = both(server, server.key('security', { id: 'ada', roles: ROLES }))
    const { call, session_id: refund } = server.refund
    for (const args of [
      ['sessions', '-n', '2'], ['sessions', '--json'], ['sessions', '--agent', 'billing-bot', '--since', '3d', '--outcome', 'success'], ['sessions', '--user', `${SECRET}-billing-bot`], ['sessions', '--open'],
      ['show'], ['show', refund], ['show', refund.slice(-8), '--full'], ['show', call, '--json'], ['show', '#3'],
      ['why'], ['why', call], ['why', refund], ['why', call.slice(-12), '--json'], ['why', '#5'],
      ['findings'], ['findings', session_id, '--json'], ['tail', refund, '--no-follow', '-n', '3'], ['tail', refund, '--no-follow', '-n', '900', '--json'],
      ['prove', call], ['prove', '#2', '--json'], ['approvals'], ['approvals', '--all', '--json'],
      ['show', 'ffffffffffff'], ['show', '#99999999'], ['show', 'no such thing'], ['show', refund.slice(0, 8)], ['approvals', 'approve', call],
    ]) {
      const [over, beside] = [await remote(...args), await local(...args)]
      const plain = ({ out, err, code }: Said): unknown => [code, out.replaceAll(/\d+(\.\d+)? (ms|s) (ago|left)/g, 'a while'), err.replace(/#\d+$/m, '#N')]
      expect(plain(over), args.join(' ')).toEqual(plain(beside))
      expect(over.out + over.err, args.join(' ')).not.toBe('')
    }
    // the log goes on with who read what: of the whole log only the beginning stays the same
    expect((await remote('tail', '--no-follow', '-n', '1000', '--json')).out.split('\n').slice(0, 10)).toEqual((await local('tail', '--no-follow', '-n', '1000', '--json')).out.split('\n').slice(0, 10))
  })

  test('a session is taken away as a page that proves itself, as over the file', async () => {
    const server = await trailServer()
    const { remote, local } = both(server, server.key('security', { id: 'ada' }))
    const { call, llm } = server.refund
    const folder = dirname(server.db)
    for (const [i, disclose] of ['none', 'all', `${call},${llm}:input_messages:all`].entries()) {
      const files = ['remote', 'local'].map((name) => join(folder, `${name}-${i}.html`))
      const told = await Promise.all([remote('export', '--session', call, '--disclose', disclose, '-o', files[0]!, '--json'), local('export', '--session', call, '--disclose', disclose, '-o', files[1]!, '--json')])
      const [over, beside] = told.map(({ out }) => ({ ...(JSON.parse(out) as object), file: '', trail: '' }))
      expect(over).toEqual(beside)
      const bundles = files.map((file) => verifyBundle(bundleIn(readFileSync(file, 'utf8'))).verdict)
      expect(bundles[0]!.counts).toEqual(bundles[1]!.counts)
      expect(bundles[0]!.whole).toBe(true)
      expect(readFileSync(files[0]!, 'utf8').includes(SECRET)).toBe(disclose !== 'none')
    }
    const opened = JSON.parse((await remote('open', call, '--print', '--json')).out) as { file: string }
    removeTemporaryPage(opened.file)
    expect(opened).toMatchObject({ session_id: server.refund.session_id, temporary: true })
    expect(await remote('export', '--session', call, '--disclose', `${call}:no_such`, '-o', join(folder, 'x.html'))).toMatchObject({ code: 2, err: expect.stringContaining('has no payload no_such') })
  })

  test('without a purpose content is withheld, which is said, and nothing is put on record', async () => {
    const server = await trailServer()
    const key = server.key('security', { id: 'ada' })
    const { remote } = both(server, key, '')
    const before = server.served.parts.tenants.open('default')!.ledger.status().size
    for (const args of [['show', server.refund.session_id, '--full'], ['why', server.refund.call], ['sessions'], ['findings'], ['tail', '--no-follow']]) {
      const { out, err, code } = await remote(...args)
      expect([code, err], args.join(' ')).toEqual([0, 'content is withheld: --purpose TEXT shows it, and goes on record\n'])
      expect(out).not.toContain(SECRET)
      expect((await remote(...args, '--json')).err, args.join(' ')).toBe('')
    }
    const opened = await remote('open', server.refund.call, '--print')
    removeTemporaryPage(opened.out.trim())
    expect(opened.err).toContain('content is withheld')
    expect(server.served.parts.tenants.open('default')!.ledger.status().size).toBe(before)
    for (const args of [['sessions', '--user', SECRET], ['export', '--disclose', 'all', '-o', '/nowhere/x.html']]) expect(await remote(...args)).toMatchObject({ code: 2, out: '', err: expect.stringContaining('--purpose TEXT') })
    // with one it is shown, and looking up what was named is no reading
    for (const name of ['last', '#3', server.refund.call]) expect(await remote('prove', name, '--purpose', 'case 4711'), name).toMatchObject({ code: 0 })
    expect(server.served.parts.tenants.open('default')!.ledger.status().size).toBe(before)
    const { out, err } = await remote('show', server.refund.call.slice(-12), '--purpose', 'case 4711')
    expect([out.includes(SECRET), err]).toEqual([true, ''])
    const { items } = (await server.ask(key, 'GET', '/v1/events?event_type=access&content=full&purpose=x')).body
    expect(items.map(({ query, purpose }: { query: object; purpose: string }) => [query, purpose])).toEqual([[{ content: 'full', session_id: server.refund.session_id }, 'case 4711']])
  })

  test('findings that are on record are told without their content', async () => {
    const server = await trailServer({ watch: true })
    const session_id = await openSession(server)
    const { body } = await server.ask(server.key('agent', { id: 'asker' }), 'POST', '/v1/events', { event_type: 'tool_call', session_id, tool_name: 'refund', risk: 'critical', tool_input: { amount: 42, note: SECRET } })
    const { remote, local } = both(server, server.key('security'), '')
    await expect.poll(async () => (await remote('findings')).out, { timeout: 10_000 }).toContain('unapproved_act')
    const [over, beside] = [await remote('findings', session_id, '--json'), await local('findings', session_id, '--json')].map(({ out }) => out.trim().split('\n').map((line): { readonly [name: string]: unknown } => ({ ...(JSON.parse(line) as object), explanation: '' })))
    expect(over!.filter(({ rule }) => rule === 'unapproved_act')).toEqual(beside!.filter(({ rule }) => rule === 'unapproved_act'))
    expect(over!.find(({ rule }) => rule === 'unapproved_act')).toMatchObject({ indexes: [body.receipts[0].index] })
    expect((await remote('show', session_id)).out).toMatch(/^! #\d+ .*tool → {5}refund \[withheld\]/m)
    expect((await remote('findings', '-n', '1')).out).toMatch(/on record in 1 session$/m)
    expect((await remote('findings', server.billing.session_id)).out).toContain('no finding on record')
    expect(await remote('findings', '--record')).toMatchObject({ code: 2, err: expect.stringContaining('leave --record out') })
  })

  test('a developer finds their agents\' sessions and events, and no others by any name', async () => {
    const server = await trailServer()
    const { remote } = both(server, server.key('developer', { id: 'dev', agents: ['refund-bot'] }), '')
    const { refund, billing } = server
    expect((await remote('sessions', '--json')).out).toContain(refund.session_id)
    expect((await remote('sessions', '--json')).out).not.toContain(billing.session_id)
    expect((await remote('show', 'last')).out).toContain(refund.session_id.slice(-8))
    const last = JSON.parse((await remote('tail', '--no-follow', '-n', '1', '--json')).out) as { session_id: string }
    expect(last.session_id).toBe(refund.session_id)
    expect(await remote('show', refund.call.slice(-12))).toMatchObject({ code: 0, err: 'content is withheld: the roles of this key do not show it\n' })
    for (const name of [billing.session_id, billing.session_id.slice(-8), billing.call, billing.call.slice(-12), billing.call.slice(0, 35)]) {
      expect(await remote('show', name), name).toMatchObject({ code: 2, out: '', err: expect.stringContaining('no session or event has an id') })
    }
    const { body } = await server.ask(server.key('security'), 'GET', `/v1/events/${billing.call}`)
    expect(await remote('show', `#${body.index}`)).toMatchObject({ code: 2, out: '', err: expect.stringContaining(`there is no entry #${body.index}`) })
    // of both agents by their beginning: only the own are counted
    expect((await remote('show', refund.session_id.slice(0, 6))).err).not.toContain(billing.session_id)
    expect(await remote('show', '--purpose', 'case 4711')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('content=full asks for the permission content') })
  })

  test('a key without the right gets the server\'s words', async () => {
    const server = await trailServer()
    for (const role of ['agent', 'admin', 'approver'] as const) {
      const { remote } = both(server, server.key(role), 'x')
      for (const args of [['sessions'], ['show'], ['show', server.refund.session_id], ['why'], ['tail', '--no-follow'], ['verify'], ['erase', server.refund.session_id, '--reason', 'r', '--yes']]) {
        expect(await remote(...args), `${role} ${args.join(' ')}`).toMatchObject({ code: 2, out: '', err: expect.stringMatching(/says: server: this asks for the permission \w+, which \w+ does not have; ask an admin/) })
      }
    }
    expect(await both(server, server.key('security')).remote('erase', 'last', '--reason', 'r', '--yes')).toMatchObject({ code: 2, err: expect.stringContaining('permission erase') })
    expect(await both(server, server.key('developer')).remote('stop', server.refund.session_id)).toMatchObject({ code: 2 })
    expect(await both(server, 'cf_no_key').remote('sessions', '--json')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('"code":"no_key"') })
  })

  test('verify says that the server vouches for itself, and proves nothing', async () => {
    const server = await trailServer()
    const { remote } = both(server, server.key('auditor', { sessions: ['*'] }))
    const { out, code } = await remote('verify')
    expect(code).toBe(3)
    expect(out).not.toMatch(/^ {2}proved/m)
    expect(out).toMatch(/^ {2}asserted +the \d+ entries are the ones signed/m)
    expect(out.replaceAll(/\s+/g, ' ')).toContain('the server verified itself: that is its word, and nothing is proved here. To prove it from here')
    expect(out).toContain('whole, says the server; not proved here')
    const verdict = JSON.parse((await remote('verify', '--since', '--require', 'unchanged', '--json')).out) as { [name: string]: unknown }
    expect(verdict).toMatchObject({ whole: true, by: server.url, exit_code: 3, properties: { unchanged: { status: 'asserted' }, pinned: { status: 'asserted' } } })
    expect(await counterfoil({ COUNTERFOIL_KEY: server.key('security') }, 'verify', server.url)).toMatchObject({ code: 3 })
    expect(await remote('verify', '--against', server.db)).toMatchObject({ code: 2, err: expect.stringContaining('--trail PATH') })
  })

  test('people answer and stop as whose the key is', async () => {
    const server = await trailServer()
    const session_id = await openSession(server)
    const [first, second] = [await ask(server, session_id), await ask(server, session_id, { quorum: 2 })]
    const ada = both(server, server.key('approver', { id: 'ada' }), '')
    expect((await ada.remote('approvals')).out).toContain(SECRET) // what somebody decides about they see
    expect(await ada.remote('approvals', 'reject', first.request.slice(-8), '--comment', 'no')).toMatchObject({ code: 0, out: expect.stringMatching(/^rejected refund \w{8} as ada {2}#\d+\n$/) })
    expect(JSON.parse((await ada.remote('approvals', 'approve', `#${second.index}`, '--json')).out)).toMatchObject({ approval_id: second.request, decision: 'approved', by: 'ada', missing: 1 })
    expect(await ada.remote('approvals', 'approve', 'last')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('says:') }) // the same person twice
    const dev = both(server, server.key('developer', { agents: ['refund-bot'] }), '')
    expect(await dev.remote('approvals')).toMatchObject({ code: 0, out: expect.not.stringContaining(SECRET), err: 'what is asked is shown to who may decide\n' })
    const stopped = await both(server, server.key('security', { id: 'sec' })).remote('stop', session_id, '--note', 'wrong', '--json')
    expect(JSON.parse(stopped.out)).toMatchObject({ session_id, sessions: [session_id], rejected: 1, by: 'sec' })
  })

  test('erase says what it takes, takes it, and says when there is nothing', async () => {
    const server = await trailServer()
    const { remote } = both(server, server.key('compliance', { id: 'com' }), '')
    const { out, code } = await remote('erase', server.refund.session_id, '--reason', 'request 88', '--yes')
    expect([code, out]).toEqual([0, expect.stringMatching(/^erased session \w{8}: 1 session with 8 payloads of 6 events\n {2}ordered in #\d+, done in #\d+\n/)])
    expect(await remote('erase', '--user', `${SECRET}-nobody`, '--reason', 'r', '--yes')).toMatchObject({ code: 2, err: expect.stringContaining('nothing to erase of user') })
    expect(JSON.parse((await remote('erase', '--user', `${SECRET}-billing-bot`, '--reason', 'r', '--yes', '--json')).out)).toMatchObject({ sessions: 1, scopes: expect.any(Number) })
    expect(await remote('erase', server.refund.session_id, '--reason', 'again', '--yes')).toMatchObject({ code: 2, err: expect.stringMatching(/erased already|nothing to erase/) })
  })

  test('what works only where the log lies says so, and where', async () => {
    const server = await trailServer()
    const { remote } = both(server, server.key('security', { roles: ROLES }))
    const folder = join(dirname(server.db), 'new')
    for (const args of [['sql', 'SELECT 1'], ['keys'], ['keys', 'renew'], ['backup', folder], ['archive', folder], ['people'], ['serve'], ['restore', folder]]) {
      const { code, out, err } = await remote(...args)
      expect([code, out], args.join(' ')).toEqual([2, ''])
      expect(err, args.join(' ')).toContain('--trail PATH')
      expect((await remote(...args, '--json')).err, args.join(' ')).toContain('"code":"not_remote"')
    }
    expect((await remote('doctor')).out).toContain("is security-1's of default")
  })
})

test('tail follows on where it was, after a server that was away', async () => {
  const told: Told = { out: '', err: '' }
  const ending = new AbortController()
  let asked = 0
  const more = fakeTrail(EVENTS, {
    newest: async () => EVENTS.slice(0, 2),
    async *events({ from = 0 } = {}) {
      asked++
      if (asked <= 2) throw new RemoteError('unreachable', 'client: no answer', 'see whether it runs', { retry: true })
      yield* EVENTS.filter(({ index }) => index >= from).slice(0, 2)
      if (asked === 4) ending.abort()
    },
  })
  expect(await run(['tail', '-n', '2'], () => testContext(told, { signal: ending.signal, open: async () => more }))).toBe(0)
  expect(told.out.match(/^#\d+/gm)).toEqual(['#12', '#13', '#14', '#15', '#16', '#17'])
  expect(told.err).toBe('client: no answer; trying again\n')
  const refused = fakeTrail(EVENTS, { events() { throw new RemoteError('forbidden', 'client: no', 'ask', { retry: false }) } })
  expect(await run(['tail'], () => testContext(told, { open: async () => refused }))).toBe(2)
})

describe('a server that is none', () => {
  test.each([
    ['without a key', { COUNTERFOIL_URL: 'https://trail.example.com' }, 'no_server_key', '$COUNTERFOIL_KEY'],
    ['with a user in its URL', { COUNTERFOIL_URL: 'https://me:secret@trail.example.com', COUNTERFOIL_KEY: 'k' }, 'bad_url', '$COUNTERFOIL_KEY'],
    ['with a query', { COUNTERFOIL_URL: 'https://trail.example.com/?key=secret', COUNTERFOIL_KEY: 'k' }, 'bad_url', 'counterfoil serve'],
    ['that cannot be read', { COUNTERFOIL_URL: 'https://', COUNTERFOIL_KEY: 'k' }, 'bad_url', 'https://HOST'],
    ['in the clear across a network', { COUNTERFOIL_URL: 'http://trail.example.com', COUNTERFOIL_KEY: 'k' }, 'not_encrypted', 'COUNTERFOIL_INSECURE=1'],
    ['under a key of two lines', { COUNTERFOIL_URL: 'https://trail.example.com', COUNTERFOIL_KEY: 'cf_secret\nx' }, 'bad_server_key', '$COUNTERFOIL_KEY'],
    ['that is away', { COUNTERFOIL_URL: 'http://127.0.0.1:9', COUNTERFOIL_KEY: 'k' }, 'unreachable', 'see whether it runs'],
  ])('%s', async (_name, env, code, next) => {
    const { err, ...said } = await counterfoil(env, 'sessions', '--json')
    expect(said).toEqual({ code: 2, out: '' })
    const { error } = JSON.parse(err) as { error: { code: string; next: string } }
    expect(error).toMatchObject({ code, next: expect.stringContaining(next) })
    expect(err).not.toContain('secret')
  })

  test.each(['https://me:secret@trail.example.com', 'https://me:secret@'])('with a password in its URL, %s, is not told by what works elsewhere either', async (url) => {
    for (const args of [['doctor'], ['people'], ['serve'], ['sql', 'SELECT 1'], ['verify', url], ['export', '-o', '/nowhere/x']]) {
      const { out, err, code } = await counterfoil({ COUNTERFOIL_URL: url, COUNTERFOIL_KEY: 'k' }, ...args)
      expect([code, out, err.includes('secret')], args.join(' ')).toEqual([2, '', false])
    }
  })

  test('an answer of something else is said to be, and acts on no terminal', async () => {
    const answers: { readonly [path: string]: unknown } = { '/v1/ids': { items: 'x' }, '/v1/verifications': {}, '/v1/me': [], '/v1/events': { items: [], next: null }, '/v1/log/checkpoint': 'none', '/v1/sessions': { items: [{ session_id: '\u001b[2J', agent_id: '\u001b]0;x\u0007', user_id: null, started_at: '2026-11-21T08:00:00.000Z', ended_at: null, state: 'open', outcome: null, events: 1 }], next: null } }
    const other = createServer((request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answers[request.url!.split('?')[0]!] ?? null))).listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await new Promise((resolve) => { other.once('listening', resolve) })
    const env = { COUNTERFOIL_URL: `http://127.0.0.1:${(other.address() as AddressInfo).port}`, COUNTERFOIL_KEY: 'k', COUNTERFOIL_PURPOSE: 'x' }
    for (const args of [['show', 'abcdef'], ['verify'], ['why'], ['approvals'], ['findings', '#3']]) expect(await counterfoil(env, ...args), args.join(' ')).toMatchObject({ code: 2, out: '', err: expect.stringContaining('expected a counterfoil server') })
    expect((await counterfoil(env, 'sessions')).out).not.toContain('\u001b')
  })
})
