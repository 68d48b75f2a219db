// The demo's trail, served: one URL, one key.

import { StoreError } from '../../base/errors.ts'
import { serve, type Served } from '../../server/serve.ts'
import type { Context } from '../context.ts'
import { packageVersion } from '../package.ts'
import { bold, grey, whole } from '../terminal.ts'

export interface DemoServer extends Served { readonly key: string }

/** Who the one key is of. */
const YOU = 'you'

/** Serves `trail` on `port`, or on any free one where that is taken, with one person who has every role. */
export async function serveAll({ trail, home, port, report }: { trail: string; home: string; port: number; report: (problem: unknown) => void }): Promise<DemoServer> {
  const on = (at: number): Promise<Served> => serve({ trail, port: at, host: '127.0.0.1', version: packageVersion(), options: { home }, report, admin: YOU })
  const served = await on(port).catch((error: unknown) => {
    if (error instanceof StoreError && error.code === 'listen_failed' && port !== 0) return on(0)
    throw error
  })
  const { administration, people } = served.parts
  await administration.put('server', { ...people.get('default', YOU)!, roles: ['admin', 'agent', 'developer', 'security', 'compliance', 'auditor', 'approver'] })
  const key = served.firstKey ?? (await administration.issue('server', { tenant: 'default', principal: YOU, name: 'demo' })).key
  return { ...served, key }
}

/** Prints where it is, and what to ask it. */
export async function sayServed({ json, screen }: Context, { url, key }: DemoServer): Promise<void> {
  if (json) screen.json({ url, key })
  else {
    screen.line()
    screen.line(bold('This trail is served now, until Ctrl-C'))
    screen.line()
    screen.line('  ', whole(`URL=${url}`, 'cyan'))
    screen.line('  ', whole(`KEY=${key}`, 'cyan'))
    screen.line()
    screen.line('  ', whole('curl -H "Authorization: Bearer $KEY" $URL/v1/me', 'cyan'), grey('   # README.md has more'))
  }
  await screen.drain()
}
