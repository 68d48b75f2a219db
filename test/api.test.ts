// The public surface, as a text somebody has read: test/api holds the declarations our users see. A change to them shows
// in a diff. UPDATE_API=1 npm test -- test/api.test.ts writes them anew.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPackage, root } from './built-package.ts'

const reviewed = join(root, 'test', 'api')

function declarations(folder: string): Record<string, string> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.d.ts')).toSorted()
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
}

test('the public declarations are the reviewed ones', async () => {
  const { folder } = await builtPackage()
  const now = declarations(join(folder, 'dist'))
  if (process.env.UPDATE_API) {
    rmSync(reviewed, { recursive: true, force: true })
    mkdirSync(reviewed)
    for (const [name, text] of Object.entries(now)) writeFileSync(join(reviewed, name), text)
  }
  expect(now, 'changed on purpose? UPDATE_API=1 npm test -- test/api.test.ts, and read the diff').toEqual(declarations(reviewed))
})
