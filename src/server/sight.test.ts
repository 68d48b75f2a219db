import { describe, expect, test } from 'vitest'
import { ROLES, type Principal, type Role } from './roles.ts'
import { ALL_SESSIONS, seesAll, sightOf } from './sight.ts'

const now = Date.UTC(2026, 10, 21, 12)
const who = (roles: readonly Role[], more: Partial<Principal> = {}): Principal => ({ id: 'ada', tenant: 'default', kind: 'person', name: 'Ada', roles, ...more })
const only = (agents: string[], sessions: string[] = []): object => ({ only: { agents, sessions } })
const scoped = { agents: ['support-bot'], sessions: ['s-1'] }

/** What each role sees at `none`, `masked` and `full`; a dash is nothing at all. */
const TABLE: { readonly [role in Role]: readonly [none: object | '-', masked: object | '-', full: object | '-'] } = {
  agent: ['-', '-', '-'],
  developer: [only(['support-bot']), only(['support-bot']), '-'],
  security: [{}, {}, {}],
  compliance: [{}, {}, {}],
  auditor: [only([], ['s-1']), only([], ['s-1']), only([], ['s-1'])],
  approver: ['-', '-', '-'],
  admin: ['-', '-', '-'],
}

describe('who may see what', () => {
  test.each(ROLES)('%s, as the table says', (role) => {
    for (const [i, content] of (['none', 'masked', 'full'] as const).entries()) {
      const expected = TABLE[role][i]!
      expect(sightOf(who([role], scoped), content, now), content).toEqual(expected === '-' ? undefined : { content, ...expected })
    }
  })

  test('a scope that nobody gave is none, and one that is everything has to say so', () => {
    expect(sightOf(who(['developer']), 'none', now)).toEqual({ content: 'none', ...only([]) })
    expect(sightOf(who(['auditor']), 'full', now)).toEqual({ content: 'full', ...only([]) })
    expect(sightOf(who(['auditor'], { sessions: [ALL_SESSIONS] }), 'full', now)).toEqual({ content: 'full' })
    expect(sightOf(who(['developer'], { agents: [ALL_SESSIONS], sessions: [ALL_SESSIONS] }), 'masked', now)).toEqual({ content: 'masked', ...only([ALL_SESSIONS]) })
    expect([['security'], ['compliance'], ['developer'], ['auditor'], ['admin'], ['agent'], ['approver']].map((roles) => seesAll(who(roles as Role[], scoped), now))).toEqual([true, true, false, false, false, false, false])
  })

  test('several roles see together what each gives, and no more content than the role that gives it', () => {
    const both = who(['developer', 'auditor'], scoped)
    expect(sightOf(both, 'none', now)).toEqual({ content: 'none', ...only(['support-bot'], ['s-1']) })
    expect(sightOf(both, 'full', now)).toEqual({ content: 'full', ...only([], ['s-1']) }) // not the own agents' content
    expect(sightOf(who(['admin', 'approver', 'agent'], scoped), 'none', now)).toBeUndefined()
  })

  test('a role that nobody knows sees nothing', () => {
    for (const role of ['root', '__proto__', 'constructor', '']) expect(sightOf(who([role as Role], scoped), 'none', now)).toBeUndefined()
  })

  test('nobody sees anything once their time is over, or when it does not read', () => {
    for (const role of ['auditor', 'security', 'developer'] as const) {
      expect(sightOf(who([role], { ...scoped, expires_at: '2026-11-21T12:00:00.001Z' }), 'none', now)).toBeDefined()
      for (const expires_at of ['2026-11-21T12:00:00.000Z', '2025-01-01T00:00:00.000Z', 'never', '']) expect(sightOf(who([role], { ...scoped, expires_at }), 'none', now), expires_at).toBeUndefined()
    }
  })
})
