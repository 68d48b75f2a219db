// docs/http.md says what each role may; this is the table of the code.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { rightsOf, ROLES } from '../src/server/roles.ts'

it('docs/http.md has for each role the permissions that it gives, no more and no fewer', () => {
  const text = readFileSync(join(import.meta.dirname, '../docs/http.md'), 'utf8')
  const section = text.split('## Roles and permissions\n')[1]!.split('\n## ')[0]!
  const documented = Object.fromEntries([...section.matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, role, rights]) => [role, [...rights!.matchAll(/`(\w+)`/g)].map(([, right]) => right!).toSorted()]))
  expect(documented).toEqual(Object.fromEntries(ROLES.map((role) => [role, rightsOf([role]).toSorted()])))
})
