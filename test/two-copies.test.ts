// Two copies of the package in one process: a bundle beside an installed one, a hot reload.

import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runChild } from './child.ts'
import { root } from './built-package.ts'
import { scratch } from './scratch.ts'

test('two copies of the package share the file, the ledger and the session of an async context', async () => {
  const { folder, db, home } = scratch()
  const copy = join(folder, 'copy')
  mkdirSync(copy)
  cpSync(join(root, 'src'), join(copy, 'src'), { recursive: true, filter: (path) => !path.endsWith('.test.ts') })
  cpSync(join(root, 'package.json'), join(copy, 'package.json'))
  const { code, stdout, stderr } = await runChild(`
    import { join } from 'node:path'
    const [one, two] = await Promise.all(process.argv.slice(3).map((path) => import(path)))
    if (one.openTrail === two.openTrail) throw new Error('one copy only')
    const a = one.openTrail(process.argv[2], { agent_id: 'a' })
    const b = two.openTrail(process.argv[2], { agent_id: 'b' })
    await a.session({}, async (session) => {
      b.record('reasoning', { text: 'from the copy' })
      if (two.currentSession() !== session) throw new Error('another session')
    })
    await b.session({}, async () => { a.record('reasoning', { text: 'and back' }) })
    await b.close()
    const texts = (await a.events({ event_type: 'reasoning' }).all()).map(({ text }) => text)
    console.log(JSON.stringify([texts, (await a.verify()).whole, a.status().size]))
    await a.close()
    process.exitCode = b.record === undefined ? 1 : 0`, [db, join(root, 'src/index.ts'), join(copy, 'src/index.ts')], { COUNTERFOIL_HOME: home })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(JSON.parse(stdout)).toEqual([['from the copy', 'and back'], true, 7])
})
