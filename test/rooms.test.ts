// The law on who imports whom. The rules are in rooms.ts; the second half here proves that each of them bites.

import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { breaches, parseRooms, type Room } from './rooms.ts'

const root = join(import.meta.dirname, '..')
const rooms = parseRooms(readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8'))

describe('the sources', () => {
  test('break no rule of the house', () => {
    const files = globSync('**/*.ts', { cwd: join(root, 'src') })
    const sources = new Map(files.map((file) => [file.replaceAll('\\', '/'), readFileSync(join(root, 'src', file), 'utf8')]))
    expect(sources.size).toBeGreaterThan(10)
    expect(breaches(sources, rooms)).toEqual([])
  })

  test('have a row in the table for each folder', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(rooms.map((room) => room.name)).toEqual(expect.arrayContaining(folders.map((folder) => folder.name)))
  })

  test('have an order: no room is imported by what it imports', () => {
    const order = new Map(rooms.map((room) => [room.name, room.imports.map((entry) => entry.split('/')[0]!)]))
    const reaches = (from: string, seen: Set<string>): Set<string> => {
      for (const next of order.get(from) ?? []) if (!seen.has(next)) reaches(next, seen.add(next))
      return seen
    }
    expect(rooms.filter(({ name }) => reaches(name, new Set()).has(name)).map(({ name }) => name)).toEqual([])
  })
})

describe('the rules', () => {
  const table: Room[] = parseRooms([
    '| room | what it holds | imports | packages | browser |',
    '| `base` | … | | `@noble/*` | yes, but `crypto-node` |',
    '| `log` | … | `base` | | yes |',
    '| `vault` | … | `base` | | only `commitment` |',
    '| `verify` | … | `log` `vault/commitment` `base` | | yes |',
    '| `store` | … | `log` `base` | | no |',
    '| `doors` | … | `verify` | | only `verify` |',
  ].join('\n'))
  const check = (files: Record<string, string>): string[] => breaches(new Map(Object.entries(files)), table)

  test('let through what the table allows', () => {
    const files = {
      'base/crypto-node.ts': `import { hash } from 'node:crypto'\nexport const h = hash`,
      'base/crypto-browser.ts': `import { sha256 } from '@noble/hashes/sha2.js'\nexport { sha256 }`,
      'log/tree.ts': `import { sha256 } from '#crypto'\nimport { a } from '../base/crypto-browser.ts'\nexport async function f() { await a(sha256) }`,
      'vault/commitment.ts': `export const c = 1`,
      'vault/segment.ts': `import { c } from './commitment.ts'\nimport fs from 'node:fs'\nexport { c, fs }`,
      'verify/verify.ts': `import { c } from '../vault/commitment.ts'\nexport const f = { async g() { for await (const x of []) c(x) } }`,
      'store/sqlite.ts': `import { statSync, type Stats } from 'node:fs'\nimport type { Dirent } from 'node:fs'\nexport const s: Stats | Dirent = statSync('.')`,
      'store/file-system.ts': `import { openSync } from 'node:fs'\nexport { openSync }`,
      'verify.ts': `export { f } from './verify/verify.ts'`,
    }
    expect(check(files)).toEqual([])
  })

  test.each<[why: string, file: string, text: string, complaint: string]>([
    ['a room that the row does not name', 'log/tree.ts', `import { s } from '../store/sqlite.ts'`, 'log/tree.ts: imports store/sqlite.ts; log may not'],
    ['a type of such a room', 'log/tree.ts', `import type { S } from '../store/sqlite.ts'`, 'log/tree.ts: imports store/sqlite.ts; log may not'],
    ['a re-export of such a room', 'log/tree.ts', `export { s } from '../store/sqlite.ts'`, 'log/tree.ts: imports store/sqlite.ts; log may not'],
    ['a type written as import()', 'log/tree.ts', `export type S = import('../store/sqlite.ts').S`, 'log/tree.ts: imports store/sqlite.ts; log may not'],
    ['such a room loaded late', 'log/tree.ts', `export const s = () => import('../store/sqlite.ts')`, 'log/tree.ts: imports store/sqlite.ts; log may not'],
    ['such a room in a test', 'log/tree.test.ts', `import { s } from '../store/sqlite.ts'`, 'log/tree.test.ts: imports store/sqlite.ts; log may not'],
    ['another file of a room of which one is allowed', 'verify/v.ts', `import { s } from '../vault/segment.ts'`, 'verify/v.ts: imports vault/segment.ts; verify may not'],
    ['a door from inside', 'log/tree.ts', `import { openTrail } from '../index.ts'`, 'log/tree.ts: imports index.ts; log may not'],
    ['a package', 'store/a.ts', `import { z } from 'zod'`, 'store/a.ts: imports the package zod; store may not'],
    ['a folder without a row', 'attic/old.ts', '', 'attic/old.ts: its room stands in no row of ARCHITECTURE.md'],
    ['Node in a browser-safe room', 'log/tree.ts', `import { hash } from 'node:crypto'`, 'log/tree.ts -> node:crypto; log/tree.ts runs in browsers'],
    ['Node by its old names', 'log/tree.ts', `import fs from 'fs'`, 'log/tree.ts -> fs; log/tree.ts runs in browsers'],
    ['Node through getBuiltinModule', 'log/tree.ts', `process.getBuiltinModule('node:fs')`, 'log/tree.ts -> node:fs; log/tree.ts runs in browsers'],
    ['utils', 'log/utils.ts', '', 'log/utils.ts: the name says nothing about what is in it'],
    ['helpers', 'log/helpers.ts', '', 'log/helpers.ts: the name says nothing about what is in it'],
    ['a barrel', 'log/index.ts', '', 'log/index.ts: the name says nothing about what is in it'],
    ['export *', 'verify.ts', `export * from './verify/verify.ts'`, 'verify.ts: export *; name what is exported'],
    ['export * as', 'verify.ts', `export * as v from './verify/verify.ts'`, 'verify.ts: export *; name what is exported'],
    ['await at the top level', 'store/a.ts', `const a = await f()`, `store/a.ts: awaits at its top level, which breaks require('counterfoil')`],
    ['for await at the top level', 'store/a.ts', `for await (const a of f()) g(a)`, `store/a.ts: awaits at its top level, which breaks require('counterfoil')`],
    ['await using at the top level', 'store/a.ts', `{ await using a = f() }`, `store/a.ts: awaits at its top level, which breaks require('counterfoil')`],
    ['a file function in the store', 'store/a.ts', `import { readFileSync } from 'node:fs'`, 'store/a.ts: imports readFileSync of node:fs; nothing near an open database opens files, but store/file-system.ts'],
    ['the whole of fs in the store', 'store/a.ts', `import * as fs from 'node:fs'`, 'store/a.ts: imports * of node:fs; nothing near an open database opens files, but store/file-system.ts'],
    ['fs as a default import in the store', 'store/a.ts', `import fs from 'node:fs'`, 'store/a.ts: imports default of node:fs; nothing near an open database opens files, but store/file-system.ts'],
    ['fs promises in the store', 'store/a.ts', `import { open } from 'node:fs/promises'`, 'store/a.ts: imports open of node:fs/promises; nothing near an open database opens files, but store/file-system.ts'],
    ['fs loaded late in the store', 'store/a.ts', `const fs = require('fs')`, 'store/a.ts: imports * of fs; nothing near an open database opens files, but store/file-system.ts'],
  ])('catch %s', (_why, file, text, complaint) => {
    expect(check({ [file]: text })).toContain(complaint)
  })

  test('catch Node behind another file, with the way to it', () => {
    const files = { 'verify.ts': `export { v } from './verify/v.ts'`, 'verify/v.ts': `import '../base/crypto-node.ts'`, 'base/crypto-node.ts': `import 'node:crypto'` }
    expect(check(files)).toContain('verify.ts -> verify/v.ts -> base/crypto-node.ts -> node:crypto; verify.ts runs in browsers')
  })

  test('are not lost with a broken table', () => {
    expect(() => parseRooms('| `base` | bytes | | | |')).toThrow('expected yes, no or only')
  })
})
