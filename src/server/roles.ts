// Who may do what: a table, and everything that is not in it is denied. Nobody has a permission to change or delete what is on record.

/** DESIGN §10. */
export const ROLES = ['agent', 'developer', 'security', 'compliance', 'auditor', 'approver', 'admin'] as const
export type Role = (typeof ROLES)[number]

/**
 * What a route asks for. `append`: hand in events. `read`: facts, proofs, checkpoints. `content`: payloads in the clear; `masked`: payloads with what is
 * personal masked. `verify`: start a verification. `export`: take evidence away. `decide`: answer approvals. `intervene`: stop a session. `erase`: destroy
 * content. `people`: principals and keys. `tenants`: make trails. `webhooks`: who is told. `metrics`: the server's figures. `self`: what one's own key may do.
 */
export const PERMISSIONS = ['self', 'append', 'ask', 'read', 'masked', 'content', 'verify', 'export', 'decide', 'intervene', 'erase', 'findings', 'people', 'tenants', 'webhooks', 'metrics'] as const
export type Permission = (typeof PERMISSIONS)[number]

const RIGHTS: { readonly [role in Role]: readonly Permission[] } = {
  agent: ['self', 'append', 'ask'],
  developer: ['self', 'read', 'masked', 'verify', 'findings', 'ask'],
  security: ['self', 'read', 'masked', 'content', 'verify', 'export', 'intervene', 'findings', 'webhooks', 'metrics'],
  compliance: ['self', 'read', 'masked', 'content', 'verify', 'export', 'erase', 'findings'],
  auditor: ['self', 'read', 'masked', 'content', 'verify', 'export', 'findings'],
  approver: ['self', 'decide', 'ask'],
  admin: ['self', 'people', 'tenants', 'webhooks', 'metrics'],
}

/** Whether one of `roles` gives `permission`. */
export function allows(roles: readonly Role[], permission: Permission): boolean {
  return roles.some((role) => Object.hasOwn(RIGHTS, role) && RIGHTS[role].includes(permission))
}

/** Everything that `roles` give, in the order of the table. */
export function rightsOf(roles: readonly Role[]): Permission[] {
  return PERMISSIONS.filter((permission) => allows(roles, permission))
}

/** Who a key belongs to. */
export interface Principal {
  /** A label; the writer of what comes with this principal's keys. */
  readonly id: string
  readonly tenant: string
  readonly kind: 'agent' | 'person'
  readonly name: string
  readonly roles: readonly Role[]
  /** Of an agent: the agent_ids that it may write as; without it all. Of a developer: those whose sessions are theirs to read; without it none. */
  readonly agents?: readonly string[]
  /** The sessions that an auditor may see, `*` for all of them; without it none. */
  readonly sessions?: readonly string[]
  readonly expires_at?: string
  readonly email?: string
}
