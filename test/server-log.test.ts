// The log, evidence and erasure over HTTP, as an auditor and a compliance officer use them, and with tools that are not ours in mind.

import { describe, expect, it } from 'vitest'
import { verifyBundle } from '../src/verify.ts'
import { fromBase64, toBase64, utf8 } from '../src/base/bytes.ts'
import { parseEntry } from '../src/event/parse.ts'
import { openCheckpoint } from '../src/log/checkpoint.ts'
import { leafHash } from '../src/log/hash.ts'
import { ed25519Verifier } from '../src/log/note.ts'
import { checkInclusion, proveInclusion } from '../src/log/inclusion.ts'
import { parseProof } from '../src/log/proof.ts'
import { rootAt, tileHashReader } from '../src/log/reader.ts'
import { decodeBundle, formatTilePath, tilesOf, type TilePath } from '../src/log/tile.ts'
import type { Answer } from './served.ts'
import { SECRET, trailServer, type TrailServer } from './server-trail.ts'

const because = { 'counterfoil-purpose': 'audit 7' }
const events = async ({ served }: TrailServer, event_type: string): Promise<Answer[]> => (await served.parts.tenants.open('default')!.ledger.call<{ items: Answer[] }>('events', { event_types: [event_type] }, 1_000)).items
const bytes = async (server: TrailServer, key: string, path: string, headers: object = {}): Promise<{ status: number; headers: Headers; bytes: Uint8Array }> => {
  const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } })
  return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) }
}

describe('the log over HTTP', () => {
  it('is read and checked by a client of C2SP tlog-tiles: checkpoint, every tile, every entry, and a proof of one', async () => {
    const server = await trailServer()
    for (let i = 0; i < 40; i++) await server.tell(`bot-${i}`) // past one full tile
    const key = server.key('auditor', { sessions: ['*'] })
    const vkey = (await server.ask(key, 'GET', '/v1/log/vkey')).body.trim()
    const note = (await server.ask(key, 'GET', '/v1/log/checkpoint')).body
    const { size, root, origin } = openCheckpoint(note, [ed25519Verifier(vkey)], { origin: vkey.split('+')[0] })
    expect(size).toBeGreaterThan(256)
    expect(vkey.startsWith(origin)).toBe(true)
    const get = async (tile: TilePath): Promise<Uint8Array> => {
      const { status, bytes: got, headers } = await bytes(server, key, `/v1/log/${formatTilePath(tile)}`)
      expect([status, headers.get('cache-control'), headers.get('content-type')]).toEqual([200, 'private, max-age=31536000, immutable', 'application/octet-stream'])
      return got
    }
    const reader = tileHashReader(size, { readTiles: (tiles) => Promise.all(tiles.map(get)) })
    expect(await rootAt(reader, size)).toEqual(root)
    const leaves: Uint8Array[] = []
    for (const tile of tilesOf(size)) {
      if (tile.level !== 0) continue
      for (const entry of decodeBundle(await get({ ...tile, level: 'entries' }), tile.width)) leaves.push(entry)
    }
    expect(leaves).toHaveLength(size)
    const index = leaves.findIndex((entry) => parseEntry(entry).entry.event_id === server.refund.call)
    const proof = await proveInclusion(reader, index, size)
    checkInclusion({ index, size, root, leafHash: leafHash(leaves[index]!), proof })
    const own = parseProof((await server.ask(key, 'GET', `/v1/events/${server.refund.call}/proof`)).body)
    expect(own.index).toBe(index)
    expect(own.proof.map(toBase64)).toEqual(proof.map(toBase64))
    const full = await bytes(server, key, '/v1/log/tile/0/000')
    expect((await bytes(server, key, '/v1/log/tile/0/000', { 'if-none-match': full.headers.get('etag')! })).status).toBe(304)
    expect((await bytes(server, key, '/v1/log/tile/0/000.p/200')).bytes).toEqual(full.bytes.slice(0, 200 * 32))
  })

  it('has no tile beyond its end, and nothing at paths that only look like one', async () => {
    const server = await trailServer()
    const key = server.key('security')
    for (const path of ['0/000', '0/000.p/255', '0/001', '1/000', '63/000', '64/000', '0/000.p/0', '0/000.p/256', '0/0', '0/x000/000', 'entries/000', 'entries/../../etc/passwd', 'entries/%2e%2e/000', '..%2f..%2fetc%2fpasswd', '0/000%00', '-1/000', '0/000.p/1/', 'entries//000']) {
      expect((await server.ask(key, 'GET', `/v1/log/tile/${path}`)).status, path).toBe(404)
    }
    expect((await server.ask(key, 'GET', '/v1/log/tile/0/000.p/3')).status).toBe(200)
    expect(server.reported).toEqual([])
  })

  it('shows entries of all sessions to nobody who may not see all sessions', async () => {
    const server = await trailServer()
    const scoped = [server.key('developer', { agents: ['refund-bot'] }), server.key('auditor', { sessions: [server.refund.session_id] }), server.key('auditor'), server.key('developer')]
    for (const key of scoped) {
      expect(await server.ask(key, 'GET', '/v1/log/tile/entries/000.p/3')).toMatchObject({ status: 403, body: { code: 'not_allowed' } })
      expect((await server.ask(key, 'GET', '/v1/log/tile/0/000.p/3')).status).toBe(200)
      expect((await server.ask(key, 'GET', `/v1/events/${server.billing.call}/proof`)).status).toBe(404)
    }
    expect((await events(server, 'access')).filter(({ outcome }) => outcome === 'denied')).toHaveLength(8)
  })
})

describe('a verification', () => {
  it('is begun, looked at and done, and finds the log whole', async () => {
    const server = await trailServer()
    const key = server.key('developer')
    const begun = await server.ask(key, 'POST', '/v1/verifications', {})
    expect(begun).toMatchObject({ status: 202, body: { state: 'running' } })
    const path = begun.headers.get('location')!
    const done = await ended(server, key, path)
    expect(done).toMatchObject({ state: 'done', verdict: { whole: true } })
    expect(done.done).toBe(done.verdict.size)
    await server.tell('later-bot')
    const again = await ended(server, key, (await server.ask(key, 'POST', '/v1/verifications', { since: 'proved' })).headers.get('location')!)
    expect(again).toMatchObject({ state: 'done', since: 'proved', verdict: { whole: true, since: done.verdict.size } })
    const checkpoint = (await server.ask(key, 'GET', '/v1/log/checkpoint')).body
    expect(await ended(server, key, (await server.ask(key, 'POST', '/v1/verifications', { since: checkpoint })).headers.get('location')!)).toMatchObject({ state: 'done' })
    expect((await server.ask(key, 'GET', '/v1/verifications/01890000-0000-7000-8000-000000000000')).status).toBe(404)
    expect((await server.ask(key, 'POST', '/v1/verifications', { since: 'proved', jobs: 64 })).status).toBe(400)
  })

  it('from a checkpoint that somebody gave proves nothing of what is before it for the next one', async () => {
    const server = await trailServer()
    const key = server.key('security')
    const checkpoint = (await server.ask(key, 'GET', '/v1/log/checkpoint')).body
    await ended(server, key, (await server.ask(key, 'POST', '/v1/verifications', { since: checkpoint })).headers.get('location')!)
    const next = await ended(server, key, (await server.ask(key, 'POST', '/v1/verifications', { since: 'proved' })).headers.get('location')!)
    expect(next.verdict.since).toBeUndefined() // nothing was proved before, so everything was read
  })

  it('runs once at a time in a trail', async () => {
    const server = await trailServer()
    const key = server.key('security')
    const { ledger } = server.served.parts.tenants.open('default')!
    const call = ledger.call.bind(ledger)
    const held = Promise.withResolvers<unknown>()
    ledger.call = ((method: string, ...args: unknown[]) => (method === 'verify' ? held.promise : call(method, ...args))) as typeof ledger.call
    const first = await server.ask(key, 'POST', '/v1/verifications', {})
    expect(first.status).toBe(202)
    expect(await server.ask(key, 'POST', '/v1/verifications', {})).toMatchObject({ status: 429, body: { code: 'verifying' } })
    held.reject(new Error('the disk'))
    expect(await ended(server, key, first.headers.get('location')!)).toMatchObject({ state: 'failed', error: { code: 'internal' } })
    ledger.call = call
    expect((await server.ask(key, 'POST', '/v1/verifications', {})).status).toBe(202)
  })
})

async function ended(server: TrailServer, key: string, path: string): Promise<Answer> {
  for (;;) {
    const { status, body } = await server.ask(key, 'GET', path)
    expect(status).toBe(200)
    if (body.state !== 'running') return body
  }
}

describe('an export', () => {
  it('is evidence that verifies offline: without content for nobody to hear of, with content on record', async () => {
    const server = await trailServer()
    const key = server.key('auditor', { sessions: [server.refund.session_id] })
    const vkey = (await server.ask(key, 'GET', '/v1/log/vkey')).body.trim()
    const path = `/v1/sessions/${server.refund.session_id}/bundle`
    const bare = await server.ask(key, 'GET', path)
    expect(verifyBundle(JSON.stringify(bare.body), { key: vkey }).verdict).toMatchObject({ whole: true })
    expect(JSON.stringify(bare.body)).not.toContain(SECRET)
    expect(await events(server, 'access')).toEqual([])
    expect(await server.ask(key, 'GET', `${path}?disclose=all`)).toMatchObject({ status: 400, body: { code: 'no_purpose' } })
    const all = await server.ask(key, 'GET', `${path}?disclose=all&purpose=audit%207`)
    expect(all.headers.get('cache-control')).toBe('no-store')
    expect(JSON.stringify(all.body)).toContain(SECRET)
    expect(verifyBundle(JSON.stringify(all.body), { key: vkey }).verdict).toMatchObject({ whole: true })
    const call = (await server.ask(key, 'GET', `/v1/events/${server.refund.call}`)).body
    const one = (await server.ask(key, 'GET', `${path}?disclose=${call.index}:tool_input&purpose=audit%207`)).body
    expect(one.payloads.filter(({ withheld }: { withheld?: true }) => withheld !== true)).toMatchObject([{ index: call.index, slot: 'tool_input' }])
    await server.served.parts.accesses.end()
    expect(await events(server, 'access')).toMatchObject([
      { action: 'export', purpose: 'audit 7', query: { session_id: server.refund.session_id, disclose: 'all' } }, { action: 'export', query: { disclose: `${call.index}:tool_input` } },
      { capture: 'after', counts: 6 }, { capture: 'after', counts: 1, root: call.entry_hash }, // the root over one leaf is that leaf
    ])
  })

  it('is of no session out of its asker\'s scope, and of nothing that is misspelt', async () => {
    const server = await trailServer()
    const key = server.key('auditor', { sessions: [server.refund.session_id] })
    expect((await server.ask(key, 'GET', `/v1/sessions/${server.billing.session_id}/bundle?disclose=all`, undefined, because)).status).toBe(404)
    expect((await server.ask(server.key('developer', { agents: ['refund-bot'] }), 'GET', `/v1/sessions/${server.refund.session_id}/bundle`)).status).toBe(403)
    for (const disclose of ['some', '', '-1', '1:', '1:tool_input:x', '1,,2', '1:tool_input:-1', '999999', '1:nothing', '1.5']) expect((await server.ask(key, 'GET', `/v1/sessions/${server.refund.session_id}/bundle?disclose=${disclose}`, undefined, because)).status, disclose).toBe(400)
  })
})

describe('an erasure', () => {
  it('is ordered by compliance for a reason, and takes a person with who searched for them', async () => {
    const server = await trailServer()
    const ada = server.key('compliance', { id: 'ada' })
    const user_id = `${SECRET}-refund-bot`
    for (const role of ['security', 'auditor', 'admin', 'developer', 'approver', 'agent'] as const) expect((await server.ask(server.key(role), 'POST', '/v1/erasures', { user_id, reason: 'asked for' })).status, role).toBe(403)
    for (const order of [{ user_id }, { user_id, reason: ' ' }, { reason: 'asked for' }, { session_id: 'x', reason: 'asked for' }, { user_id, reason: 'asked for', force: true }]) expect((await server.ask(ada, 'POST', '/v1/erasures', order)).status, JSON.stringify(order)).toBe(400)
    expect(await server.ask(ada, 'POST', '/v1/erasures', { user_id, reason: 'asked for', preview: true })).toMatchObject({ status: 200, body: { sessions: [server.refund.session_id] } })
    expect((await server.ask(ada, 'GET', `/v1/events/${server.refund.call}?content=full`, undefined, because)).body.tool_input.note).toBe(SECRET)
    const { status, body } = await server.ask(ada, 'POST', '/v1/erasures', { user_id, reason: 'asked for\nby themselves', legal_basis: 'GDPR 17' })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body).toMatchObject({ sessions: [server.refund.session_id] })
    expect((await server.ask(ada, 'GET', `/v1/events/${server.refund.call}?content=full`, undefined, because)).body.tool_input).toEqual({ absent: 'erased', by: body.ordered })
    expect((await server.ask(ada, 'GET', `/v1/events/${server.billing.call}?content=full`, undefined, because)).body.tool_input.note).toBe(SECRET)
    expect(await events(server, 'erasure')).toMatchObject([{ phase: 'ordered', reason: 'asked for\nby themselves', legal_basis: 'GDPR 17', identity: { subject: 'ada' } }, { phase: 'done' }])
    expect(await server.ask(ada, 'POST', '/v1/erasures', { user_id, reason: 'again' })).toMatchObject({ status: 404 })
    expect(await server.ask(ada, 'POST', '/v1/erasures', { session_id: server.refund.session_id, reason: 'again' })).toMatchObject({ status: 409, body: { code: 'erased_already' } })
    expect(JSON.stringify(await events(server, 'access'))).not.toContain(user_id)
    expect((await events(server, 'access')).find(({ action }) => action === 'search').query.user_id).toEqual({ keyed: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/) })
    expect(await server.served.parts.tenants.open('default')!.ledger.call('verify')).toMatchObject({ whole: true })
  })
})

describe('a proof that was changed on its way', () => {
  it('does not verify', async () => {
    const server = await trailServer()
    const key = server.key('security')
    const { index, proof, checkpoint } = parseProof((await server.ask(key, 'GET', `/v1/events/${server.refund.call}/proof`)).body)
    const vkey = (await server.ask(key, 'GET', '/v1/log/vkey')).body.trim()
    const { size, root } = openCheckpoint(checkpoint, [ed25519Verifier(vkey)], { origin: vkey.split('+')[0] })
    const leaf = fromBase64((await server.ask(key, 'GET', `/v1/events/${server.refund.call}`)).body.entry_hash)
    checkInclusion({ index, size, root, leafHash: leaf, proof })
    expect(() => checkInclusion({ index, size, root, leafHash: leafHash(utf8('another')), proof })).toThrow(/root/)
  })
})
