// Who may see what: the sight of a principal at the content that they ask for. What no role says is not seen.

import type { Sight } from '../ledger/reader.ts'
import { allows, type Permission, type Principal, type Role } from './roles.ts'

export type Content = Sight['content']

/** What is asked for by `content=`, and the permission that it takes. */
export const CONTENT: { readonly [content in Content]: Permission } = { none: 'read', masked: 'masked', full: 'content' }

/** Roles that see every session of their tenant, and the ledger's own. */
const WHOLE: ReadonlySet<Role> = new Set(['security', 'compliance'])

/** In an auditor's list: every session. A scope that is left out is none. */
export const ALL_SESSIONS = '*'

/**
 * What `who` sees when they ask for `content` at `ms`; undefined when they may not. Developers see sessions of their agents, auditors those that they are
 * given, until their time is over; who has several roles sees at `content` what the roles that give it see together.
 */
export function sightOf(who: Principal, content: Content, ms: number): Sight | undefined {
  const roles = who.roles.filter((role) => allows([role], CONTENT[content]))
  if (roles.length === 0 || isOver(who, ms)) return undefined
  const sessions = roles.includes('auditor') ? (who.sessions ?? []) : []
  if (roles.some((role) => WHOLE.has(role)) || sessions.includes(ALL_SESSIONS)) return { content }
  return { content, only: { agents: roles.includes('developer') ? (who.agents ?? []) : [], sessions } }
}

/** Whether `who` sees the whole log: entries of all sessions at once, as tiles hold them, are for nobody else. */
export function seesAll(who: Principal, ms: number): boolean {
  const sight = sightOf(who, 'none', ms)
  return sight !== undefined && sight.only === undefined
}

function isOver({ expires_at }: Principal, ms: number): boolean {
  return expires_at !== undefined && !(Date.parse(expires_at) > ms)
}
