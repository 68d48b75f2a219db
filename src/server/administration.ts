// Changes of who may do what. Each is on record before it holds: a `config_change` in the log of its tenant, by whom, with the rights before and after.
// Names and addresses are not in it: what a right is, an id says.

import type { Clock } from '../base/clock.ts'
import { StoreError } from '../base/errors.ts'
import { journal } from './journal.ts'
import type { KeyOrder, Keys, KeyView } from './keys.ts'
import { checkPrincipal, type People } from './people.ts'
import { HttpError, notFound } from './problem.ts'
import type { Principal } from './roles.ts'
import { DEFAULT_TENANT, type Tenant, type Tenants, type TenantView } from './tenants.ts'

export class Administration {
  readonly #people: People
  readonly #keys: Keys
  readonly #tenants: Tenants
  readonly #clock: Clock

  constructor({ people, keys, tenants, clock }: { people: People; keys: Keys; tenants: Tenants; clock: Clock }) {
    this.#people = people
    this.#keys = keys
    this.#tenants = tenants
    this.#clock = clock
  }

  /** Adds a principal, or changes the rights of one. `by` is who does it. */
  async put(by: string, who: Principal): Promise<Principal> {
    this.#people.check(who)
    const before = this.#people.get(who.tenant, who.id)
    if (before?.id === by) throw new HttpError(409, 'own_rights', 'server: expected another admin to change your rights', 'nobody gives rights to themselves, or takes the last ones away')
    await this.#note(who.tenant, 'people', by, before === undefined ? undefined : rightsOf(before), rightsOf(who))
    this.#people.put(who)
    return who
  }

  /** Removes a principal and revokes their keys, at once: that does not wait for the log. */
  async remove(by: string, tenant: string, id: string): Promise<void> {
    const before = this.#people.get(tenant, id)
    if (before === undefined) throw notFound('principal')
    if (id === by) throw new HttpError(409, 'own_rights', 'server: expected another admin to remove you', 'nobody takes the last rights away')
    this.#people.remove(tenant, id)
    await this.#note(tenant, 'people', by, rightsOf(before), undefined)
  }

  /** Makes a key of a principal. Its text is in the answer and nowhere else. */
  async issue(by: string, order: KeyOrder): Promise<{ key: string; view: KeyView }> {
    if (this.#people.get(order.tenant, order.principal) === undefined) throw notFound('principal')
    const made = this.#keys.issue(order)
    try {
      await this.#note(order.tenant, 'keys', by, undefined, made.view)
    } catch (error) {
      this.#keys.revoke(order.tenant, made.view.id) // a key that is not on record is none
      throw error
    }
    return made
  }

  /** Revokes a key, at once. */
  async revoke(by: string, tenant: string, id: string): Promise<void> {
    const before = this.#keys.get(id)
    if (before === undefined || before.tenant !== tenant || !this.#keys.revoke(tenant, id)) throw notFound('key')
    await this.#note(tenant, 'keys', by, before, this.#keys.get(id))
  }

  /** Makes a tenant with its first admin, whose key is in the answer. */
  async createTenant(by: string, name: string, admin: string): Promise<{ tenant: TenantView; key: string }> {
    if (this.#tenants.has(name)) throw new HttpError(409, 'tenant_exists', 'server: there is a tenant of that name', 'choose another name')
    const first: Principal = { id: admin, tenant: name, kind: 'person', name: admin, roles: ['admin'] }
    checkPrincipal(first)
    this.#tenants.check(name)
    await this.#note(DEFAULT_TENANT, 'tenants', by, undefined, { name, admin })
    await this.#tenants.create(name)
    await this.put(by, first)
    const { key } = await this.issue(by, { tenant: name, principal: admin, name: 'first key' })
    return { tenant: this.#tenants.list().find((one) => one.name === name)!, key }
  }

  /** Makes the first admin of a server that has none, and gives out their key. */
  async firstAdmin(id: string): Promise<string | undefined> {
    if (this.#people.list(DEFAULT_TENANT).some(({ roles }) => roles.includes('admin'))) return undefined
    await this.put('server', { id, tenant: DEFAULT_TENANT, kind: 'person', name: id, roles: ['admin'] })
    return (await this.issue('server', { tenant: DEFAULT_TENANT, principal: id, name: 'first key' })).key
  }

  async #note(name: string, what: string, by: string, before: object | undefined, after: object | undefined): Promise<void> {
    const answer = await journal(this.#tenant(name), this.#clock, 'config_change', { what }, { ...(before === undefined ? {} : { before }), after: { by, ...(after === undefined ? { removed: true } : after) } })
    if ('refused' in answer) throw new StoreError('not_recorded', `server: the change was not put on record: ${answer.refused.message}`, answer.refused.next)
  }

  #tenant(name: string): Tenant {
    const tenant = this.#tenants.open(name)
    if (tenant === undefined) throw notFound('tenant')
    return tenant
  }
}

/** What of a principal is on record. */
function rightsOf(who: Principal): object {
  const { name: _, email: __, ...rights } = who
  return rights
}
