// counterfoil people: who may do what on a server of this trail, and their keys. It works on the server's files, beside a server that runs too.

import { InvalidArgumentError, Option, type Command } from 'commander'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { MisuseError } from '../../base/errors.ts'
import type { KeyView } from '../../server/keys.ts'
import { ROLES, type Principal, type Role } from '../../server/roles.ts'
import type { OpenServer } from '../../server/serve.ts'
import { trailPath, type Context } from '../context.ts'
import { parseMoment } from '../moment.ts'
import { packageVersion } from '../package.ts'
import { grey, pad, red, whole, type Line } from '../terminal.ts'

interface Where { data?: string; tenant: string }
interface Who extends Where { role?: Role[]; agent?: string[]; session?: string[]; name?: string; email?: string; expires?: string }

/** Who changes what is changed at the command line. */
const OPERATOR = 'operator'

export function peopleCommand(program: Command, context: () => Context): void {
  const people = program.command('people')
    .description('who may do what on a server of this trail, and their keys')
    .addHelpText('after', `
Roles: agent appends; developer sees facts, and content masked; security and
compliance see content, with a purpose; auditor sees what is in scope; approver
answers approvals; admin makes people and keys, and sees no content (docs http).
A key is printed once. Each change is on record in the log.

Examples:
  $ counterfoil people
  $ counterfoil people add support-bot --role agent
  $ counterfoil people add ada --role security --name "Ada L." --expires 90d
  $ counterfoil people key ada
  $ counterfoil people revoke 7Gk2nQ0aPzL1
  $ counterfoil people remove ada`)

  const verb = (command: Command): Command => command.option('--data <dir>', "the server's folder; default beside the trail, PATH.server").option('--tenant <name>', 'the tenant', 'default')

  verb(people.command('list', { isDefault: true }).description('principals and their keys')).action((where: Where) => withServer(context(), where, ({ parts }, ctx) => {
    const keys = parts.keys.list(where.tenant)
    const all = parts.people.list(where.tenant)
    if (ctx.json) return ctx.screen.json({ people: all, keys })
    if (all.length === 0) ctx.screen.line(grey('nobody yet: counterfoil people add ID --role ROLE'))
    for (const who of all) for (const line of linesOf(who, keys.filter(({ principal }) => principal === who.id))) ctx.screen.line(...line)
  }))

  verb(people.command('add').argument('<id>', 'a label; it stands in the log as who wrote').description('add a principal and print a key; or give one that is there other rights'))
    .addOption(new Option('--role <role...>', 'what they may do').choices(ROLES).makeOptionMandatory())
    .option('--agent <agent_id...>', 'the agents that an agent may write as, default all; whose sessions a developer sees, default none')
    .option('--session <session_id...>', "the sessions that an auditor sees, '*' for all; default none")
    .option('--name <name>', 'who that is')
    .option('--email <address>', 'where they are told of approvals')
    .option('--expires <when>', 'until when: a date, or how long: 90d', parseExpiry)
    .action((id: string, given: Who) => withServer(context(), given, async ({ parts }, ctx) => {
      const fresh = parts.people.get(given.tenant, id) === undefined
      await parts.administration.put(OPERATOR, principalOf(id, given))
      if (!fresh) return sayDone(ctx, `${id} has other rights now`, { id })
      sayKey(ctx, await parts.administration.issue(OPERATOR, { tenant: given.tenant, principal: id, name: 'first key' }))
    }))

  verb(people.command('key').argument('<id>', 'whose').description('print a new key of a principal'))
    .option('--name <name>', 'what it is for')
    .addOption(new Option('--role <role...>', 'only these of their roles').choices(ROLES))
    .option('--expires <when>', 'until when: a date, or how long: 90d', parseExpiry)
    .action((principal: string, given: Who) => withServer(context(), given, async ({ parts }, ctx) => {
      const { tenant, name, role, expires } = given
      sayKey(ctx, await parts.administration.issue(OPERATOR, { tenant, principal, ...(name === undefined ? {} : { name }), ...(role === undefined ? {} : { roles: role }), ...(expires === undefined ? {} : { expires_at: expires }) }))
    }))

  verb(people.command('revoke').argument('<key>', 'the id of the key, its middle part').description('take a key out of force, at once')).action((key: string, where: Where) => withServer(context(), where, async ({ parts }, ctx) => {
    await parts.administration.revoke(OPERATOR, where.tenant, key)
    sayDone(ctx, `key ${key} is revoked`, { key })
  }))

  verb(people.command('remove').argument('<id>', 'who').description('remove a principal and revoke their keys; the id stays theirs')).action((id: string, where: Where) => withServer(context(), where, async ({ parts }, ctx) => {
    await parts.administration.remove(OPERATOR, where.tenant, id)
    sayDone(ctx, `${id} is removed`, { id })
  }))

  verb(people.command('tenant').argument('<name>', 'a-z, 0-9 and -').description('make a tenant, a trail of its own, and print the key of its first admin'))
    .requiredOption('--admin <id>', 'its first admin')
    .action((name: string, { admin, ...where }: Where & { admin: string }) => withServer(context(), where, async ({ parts }, ctx) => {
      const { key, tenant } = await parts.administration.createTenant(OPERATOR, name, admin)
      if (ctx.json) return ctx.screen.json({ ...tenant, key })
      ctx.screen.line('key ', whole(key), grey('  shown once'))
    }))
}

function principalOf(id: string, { tenant, role = [], agent, session, name = id, email, expires }: Who): Principal {
  return {
    id, tenant, kind: role.length === 1 && role[0] === 'agent' ? 'agent' : 'person', name, roles: role,
    ...(agent === undefined ? {} : { agents: agent }), ...(session === undefined ? {} : { sessions: session }), ...(email === undefined ? {} : { email }), ...(expires === undefined ? {} : { expires_at: expires }),
  }
}

async function withServer(ctx: Context, { data, tenant }: Where, run: (server: OpenServer, ctx: Context) => Promise<unknown> | unknown): Promise<void> {
  const trail = trailPath(ctx)
  if (!existsSync(trail)) throw new MisuseError('no_trail', `cli: there is no trail at ${trail}`, 'check the path, or begin one: counterfoil serve')
  const { openServer } = await import('../../server/serve.ts')
  const server = await openServer({ trail, version: packageVersion(), ...(data === undefined ? {} : { data: resolve(ctx.cwd, data) }), report: (problem) => ctx.screen.note(red('people: '), String((problem as Error)?.message ?? problem)) })
  try {
    if (!server.parts.tenants.has(tenant)) throw new MisuseError('no_tenant', `cli: there is no tenant ${JSON.stringify(tenant)} here`, 'counterfoil people tenant NAME --admin ID makes one')
    await run(server, ctx)
  } finally {
    await server.close()
  }
}

function linesOf({ id, roles, name, expires_at, agents }: Principal, keys: readonly KeyView[]): Line[] {
  return [
    [whole(id), grey(` ${roles.join(', ')}${name === id ? '' : ` · ${name}`}${agents === undefined ? '' : ` · ${agents.join(', ')}`}${expires_at === undefined ? '' : ` · until ${expires_at}`}`)],
    ...keys.map((key): Line => ['  ', pad(key.id, 14), grey(`${key.revoked_at === undefined ? '' : 'revoked · '}${key.name === '' ? '' : `${key.name} · `}made ${key.created_at}${key.expires_at === undefined ? '' : ` · until ${key.expires_at}`}${key.used_at === undefined ? '' : ` · used ${key.used_at}`}`)]),
  ]
}

function sayKey({ json, screen }: Context, { key, view }: { key: string; view: KeyView }): void {
  if (json) screen.json({ ...view, key })
  else screen.line('key ', whole(key), grey(`  of ${view.principal}, shown once`))
}

function sayDone({ json, screen }: Context, says: string, value: object): void {
  if (json) screen.json(value)
  else screen.line(says)
}

const AHEAD = /^(\d{1,4})([dhw])$/
const HOURS = { h: 1, d: 24, w: 168 } as const

/** A moment to come, as the log writes times. */
function parseExpiry(text: string): string {
  const [, count, unit] = AHEAD.exec(text) ?? []
  const ms = count === undefined ? parseMoment(text, Date.now()).getTime() : Date.now() + Number(count) * HOURS[unit as keyof typeof HOURS] * 3_600_000
  if (ms <= Date.now()) throw new InvalidArgumentError('Expected a moment to come: 2027-01-01, 2027-01-01T08:00Z, or 90d.')
  return new Date(ms).toISOString()
}
