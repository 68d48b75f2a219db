// Who may what, over HTTP: every role × every route that the application has, and every route across tenants. A route without a row here fails.

import { describe, expect, it } from 'vitest'
import { makeApp } from '../src/server/app.ts'
import { ROLES, type Role } from '../src/server/roles.ts'
import type { Answer } from './served.ts'
import { SECRET, trailServer, type Told, type TrailServer } from './server-trail.ts'

const LOOK = 'developer security compliance auditor'
const ALL = 'agent developer security compliance auditor approver admin'
const EVIDENCE = 'security compliance auditor'
/** The roles that a route lets in; `public` asks for no key. */
const TABLE: { readonly [route: string]: string } = {
  'GET /healthz': 'public',
  'GET /readyz': 'public',
  'GET /metrics': 'security admin',
  'GET /v1/me': ALL,
  'POST /v1/events': 'agent',
  'POST /v1/drafts': 'agent',
  'GET /v1/sessions': LOOK,
  'GET /v1/sessions/{session_id}': LOOK,
  'GET /v1/sessions/{session_id}/rows': LOOK,
  'GET /v1/sessions/{session_id}/resumption': 'agent',
  'GET /v1/events': LOOK,
  'GET /v1/calls': LOOK,
  'GET /v1/ids': LOOK,
  'GET /v1/events/{event_id}': LOOK,
  'GET /v1/events/{event_id}/why': LOOK,
  'GET /v1/why': LOOK,
  'GET /v1/stream': LOOK,
  'GET /v1/events/{event_id}/proof': LOOK,
  'GET /v1/log/checkpoint': ALL,
  'GET /v1/log/vkey': ALL,
  'GET /v1/log/keys': ALL,
  'GET /v1/log/tile/{path}': ALL,
  'POST /v1/verifications': LOOK,
  'GET /v1/verifications/{id}': LOOK,
  'GET /v1/sessions/{session_id}/bundle': EVIDENCE,
  'POST /v1/erasures': 'compliance',
  'GET /v1/approvals': 'agent developer approver',
  'POST /v1/approvals': 'agent',
  'GET /v1/approvals/{approval_id}': 'agent developer approver',
  'POST /v1/approval-matches': 'agent developer approver',
  'POST /v1/approvals/{approval_id}/decisions': 'approver',
  'POST /v1/sessions/{session_id}/interventions': 'security',
  'GET /v1/sessions/{session_id}/interventions': 'agent developer approver',
  'GET /v1/findings': LOOK,
  'GET /v1/webhooks': 'security admin',
  'POST /v1/webhooks': 'security admin',
  'DELETE /v1/webhooks/{webhook}': 'security admin',
  'POST /v1/traces': 'agent',
  'POST /v1/logs': 'agent',
  'POST /otlp/v1/traces': 'agent',
  'POST /otlp/v1/logs': 'agent',
  'GET /v1/people': 'admin',
  'POST /v1/people': 'admin',
  'DELETE /v1/people/{principal}': 'admin',
  'GET /v1/keys': 'admin',
  'POST /v1/keys': 'admin',
  'DELETE /v1/keys/{key}': 'admin',
  'GET /v1/tenants': 'admin',
  'POST /v1/tenants': 'admin',
}

const NOWHERE = '01890000-0000-7000-8000-000000000000'

/** What stands for each parameter of a path: what is there in `told`, and what is nowhere. */
function params(told: Told | undefined): { readonly [name: string]: string } {
  return { session_id: told?.session_id ?? NOWHERE, event_id: told?.call ?? NOWHERE, request_event_id: told?.call ?? NOWHERE, id: NOWHERE, path: '0/000.p/1', principal: 'nobody', key: 'nokey', approval_id: told?.call ?? NOWHERE, webhook: 'nowhere' }
}

function pathOf(path: string, told: Told | undefined): string {
  return path.replaceAll(/\{([a-z_]+)\}/g, (_, name: string) => {
    const value = params(told)[name]
    if (value === undefined) throw new Error(`say in params() what stands for {${name}} of ${path}`)
    return value
  })
}

interface Said { readonly status: number; readonly code: string | undefined; readonly text: string }

/** Asks the application without a socket; of a stream, only what it begins with. */
async function ask(app: ReturnType<typeof makeApp>, key: string | undefined, method: string, path: string, body: unknown = {}): Promise<Said> {
  const ending = new AbortController()
  const response = await app.request(path, {
    method, signal: ending.signal, ...(method === 'POST' ? { body: JSON.stringify(body) } : {}),
    headers: { ...(key === undefined ? {} : { authorization: `Bearer ${key}` }), ...(method === 'POST' ? { 'content-type': 'application/json' } : {}), 'counterfoil-purpose': 'a test' },
  })
  if (response.headers.get('content-type') === 'text/event-stream') {
    await response.body!.cancel()
    return { status: response.status, code: undefined, text: '' }
  }
  const text = await response.text()
  const json = /json/.test(response.headers.get('content-type') ?? '') && text !== '' ? JSON.parse(text) : undefined
  return { status: response.status, code: json?.code, text }
}

async function denials(server: TrailServer, tenant = 'default'): Promise<Answer[]> {
  const { ledger } = server.served.parts.tenants.open(tenant)!
  const { items } = await ledger.call<{ items: Answer[] }>('events', { event_types: ['access'], outcome: 'denied' }, 1_000)
  return items
}

describe('every route', () => {
  it('lets in the roles of its row and no other, and puts each denial on record', async () => {
    const server = await trailServer()
    const app = makeApp(server.served.parts)
    const keys = new Map(ROLES.map((role) => [role, server.key(role, { id: `the-${role}`, agents: ['refund-bot'], sessions: [server.refund.session_id] })]))
    const routes = app.declared
    expect(routes.map(({ method, path }) => `${method.toUpperCase()} ${path}`).filter((route) => TABLE[route] === undefined), 'routes without a row').toEqual([])
    const expected: [string, string][] = []
    for (const { method, path, permission } of routes) {
      const [METHOD, allowed] = [method.toUpperCase(), TABLE[`${method.toUpperCase()} ${path}`]!]
      expect(permission === 'public', path).toBe(allowed === 'public')
      const stranger = await ask(app, undefined, METHOD, pathOf(path, server.refund))
      expect(stranger.status === 401, `${METHOD} ${path} without a key: ${stranger.text}`).toBe(allowed !== 'public')
      if (allowed === 'public') continue
      for (const role of ROLES) {
        const said = await ask(app, keys.get(role), METHOD, pathOf(path, server.refund))
        const what = `${role} ${METHOD} ${path}: ${said.status} ${said.text.slice(0, 200)}`
        expect(said.status, what).not.toBe(401)
        expect(said.status, what).toBeLessThan(500)
        if (allowed.split(' ').includes(role)) expect(said.status, what).not.toBe(403)
        else {
          expect([said.status, said.code], what).toEqual([403, 'not_allowed'])
          expected.push([`the-${role}`, `${METHOD} ${path}`])
        }
      }
    }
    const denied = (await denials(server)).filter(({ query }) => query.event_id !== NOWHERE && query.id !== NOWHERE)
    expect(denied.map(({ identity, query }) => [identity.subject, query.route])).toEqual(expected)
    expect(expected.length).toBeGreaterThan(100)
  })

  it('that shows content shows none to a role that may not see it, at any content= and whatever is asked for', async () => {
    const server = await trailServer()
    const app = makeApp(server.served.parts)
    const unseen = new Map<Role, readonly string[]>([['agent', ['none', 'masked', 'full']], ['approver', ['none', 'masked', 'full']], ['admin', ['none', 'masked', 'full']], ['developer', ['none', 'masked', 'full']], ['security', ['none', 'masked']], ['compliance', ['none', 'masked']], ['auditor', ['none', 'masked']]])
    for (const [role, levels] of unseen) {
      const key = server.key(role, { agents: ['refund-bot'], sessions: [server.refund.session_id] })
      for (const { method, path, content } of app.declared) {
        if (!content || method !== 'get') continue
        for (const level of levels) {
          for (const more of ['', '&disclose=all', '&text=SECRET']) {
            const { status, text } = await ask(app, key, 'GET', `${pathOf(path, server.refund)}?content=${level}${more}`)
            expect(text, `${role} ${path} ${level}${more} ${status}`).not.toContain(SECRET)
          }
        }
      }
    }
  })
})

describe('a tenant', () => {
  it('gives another one nothing by any route: not an id, not a word, and not that it is there', async () => {
    const server = await trailServer()
    const app = makeApp(server.served.parts)
    await server.served.parts.tenants.create('other')
    const other = await server.tell('other-bot', 'other')
    const stranger = server.key('compliance', { id: 'eve', tenant: 'other' })
    const before = await denials(server, 'other')
    const theirs = await server.served.parts.tenants.open('other')!.ledger.call<Answer[]>('session', other.session_id)
    // what nobody can have said who asked: the asker's own guesses stand in the log of their own tenant
    const marks = [...theirs.map(({ entry_hash }) => entry_hash as string), ...other.events.filter((id) => id !== other.call), `${SECRET}-other-bot`, server.served.parts.tenants.open('other')!.ledger.status().origin]
    expect(marks).toHaveLength(15)
    for (const role of ROLES) {
      const key = server.key(role, { id: `the-${role}`, agents: ['*', 'other-bot', 'refund-bot'], sessions: ['*', other.session_id] })
      for (const { method, path, permission } of app.declared) {
        if (permission === 'public') continue
        if (!(TABLE[`${method.toUpperCase()} ${path}`] ?? '').split(' ').includes(role)) continue // denied, as above
        for (const query of path === '/v1/stream' ? ['?from=0'] : method === 'get' ? ['', '?content=full', `?content=full&session_id=${other.session_id}`, '?content=full&agent_id=other-bot', `?content=full&user_id=${SECRET}-other-bot`, '?disclose=all'] : ['']) {
          const there = await ask(app, key, method.toUpperCase(), pathOf(path, other) + query, bodyOf(path, other))
          const not = await ask(app, key, method.toUpperCase(), pathOf(path, undefined) + query.replace(other.session_id, NOWHERE), bodyOf(path, undefined))
          const what = `${role} ${method} ${path}${query}: ${there.status} ${there.text.slice(0, 300)}`
          for (const one of marks) expect(there.text.includes(one), `${what} holds ${one}`).toBe(false)
          if (path === '/v1/verifications') continue // names nothing, and runs once at a time
          expect([there.status, there.code], what).toEqual([not.status, not.code])
          if (/\{(session_id|event_id)\}/.test(path) && there.status >= 400) expect(there.text, what).toBe(not.text)
        }
      }
    }
    expect(await denials(server, 'other')).toEqual(before) // and nothing of it in the other's log
    const asked = (await denials(server)).map(({ query }) => query.session_id ?? query.event_id)
    expect(asked).toContain(other.session_id)
    expect(asked).toContain(other.call)
    // what is theirs is as it was
    expect((await ask(app, stranger, 'GET', `/v1/events/${other.call}?content=full`)).text).toContain(SECRET)
    expect(await server.served.parts.tenants.open('other')!.ledger.call('verify')).toMatchObject({ whole: true })
  })
})

/** Bodies that name what is another tenant's, or nowhere. */
function bodyOf(path: string, told: Told | undefined): unknown {
  if (path === '/v1/erasures') return { session_id: told?.session_id ?? NOWHERE, reason: 'a test' }
  if (path === '/v1/approvals' || path === '/v1/approval-matches') return { session_id: told?.session_id ?? NOWHERE, tool_name: 'pay', tool_input: path.endsWith('matches') ? '{}' : {} }
  return {}
}
