// package.json's exports and the built files say the same; a browser's door needs no Node; the doors that go into other
// people's agents hold nobody else's code.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Metafile } from 'esbuild'
import { beforeAll, describe, expect, test } from 'vitest'
import { doors } from '../scripts/build.ts'
import { packageFolder } from '../scripts/third-party.ts'
import { builtPackage, root, type BuiltPackage } from './built-package.ts'

type Conditions = { types: string; browser?: string; default: string }
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const exported = Object.entries<Conditions | string>(manifest.exports).filter((entry): entry is [string, Conditions] => typeof entry[1] === 'object')

let folder: string
let built: BuiltPackage['built']
beforeAll(async () => {
  ;({ folder, built } = await builtPackage())
})

/** The output of `entry` and everything it loads, by name. */
function reached({ outputs }: Metafile, entry: string): Metafile['outputs'] {
  const found: Metafile['outputs'] = {}
  const visit = (path: string): void => {
    const output = outputs[path]
    if (!output || found[path]) return
    found[path] = output
    for (const { path: next } of output.imports) visit(next)
  }
  const path = Object.keys(outputs).find((file) => basename(file) === entry)
  if (path === undefined) throw new Error(`no output is called ${entry}`)
  visit(path)
  return found
}

function packagesIn(outputs: Metafile['outputs']): string[] {
  const files = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs))
  return [...new Set(files.map(packageFolder).filter((name) => name !== undefined))]
}

describe('package.json', () => {
  test('exports each door and nothing else', () => {
    const names = exported.map(([name]) => (name === '.' ? 'index' : name.slice(2)))
    expect(names.toSorted()).toEqual(Object.keys(doors).toSorted())
    expect(manifest.exports['./package.json']).toBe('./package.json')
  })

  test('names files that are built', () => {
    const files = exported.flatMap(([, conditions]) => Object.values(conditions))
    expect([...files, manifest.bin.counterfoil].filter((file) => !existsSync(join(folder, file)))).toEqual([])
  })

  test('puts types first, where TypeScript looks', () => {
    for (const [, conditions] of exported) expect(Object.keys(conditions)[0]).toBe('types')
  })

  test('brings no other package along', () => {
    for (const field of ['dependencies', 'optionalDependencies', 'bundleDependencies', 'bundledDependencies']) expect(manifest).not.toHaveProperty(field)
    for (const hook of ['preinstall', 'install', 'postinstall', 'prepare']) expect(manifest.scripts).not.toHaveProperty(hook)
  })
})

describe('the built files', () => {
  test('import nothing but each other and Node', () => {
    const outside = [...Object.values(built.node.outputs), ...Object.values(built.browser.outputs)]
      .flatMap(({ imports }) => imports.filter(({ external }) => external).map(({ path }) => path))
    expect(outside.filter((path) => !path.startsWith('node:'))).toEqual([])
  })

  test('of the browser doors need no Node', () => {
    const files = exported.flatMap(([, { browser }]) => (browser ? [basename(browser)] : []))
    expect(files).toEqual(expect.arrayContaining(['verify.browser.js', 'client.browser.js']))
    for (const file of files) {
      const outputs = reached(built.browser, file)
      expect(Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path))).toEqual([])
      expect(readFileSync(join(folder, 'dist', file), 'utf8')).not.toMatch(/\bnode:[a-z_/]+['"]|\brequire\(/)
    }
  })

  test('of the doors hold no other package; the browser\'s has @noble only', () => {
    for (const door of Object.keys(doors)) expect([door, packagesIn(reached(built.node, `${door}.js`))]).toEqual([door, []])
    expect(packagesIn(built.browser.outputs).filter((name) => !name.startsWith('node_modules/@noble/'))).toEqual([])
    expect([...packagesIn(built.worker.outputs), ...packagesIn(built.sender.outputs)]).toEqual([])
  })

  test('hold each source once, so that two doors share their state', () => {
    const places = new Map<string, string[]>()
    for (const [output, { inputs }] of Object.entries(built.node.outputs)) {
      for (const input of Object.keys(inputs)) places.set(input, [...(places.get(input) ?? []), output])
    }
    expect([...places].filter(([, outputs]) => outputs.length > 1)).toEqual([])
  })

  test('carry the worker as a string and look for no file of it', () => {
    const outputs = Object.entries(built.node.outputs)
    expect(outputs.flatMap(([, { inputs }]) => Object.keys(inputs))).not.toContain('src/ledger/worker.ts')
    for (const [path] of outputs) expect(readFileSync(join(folder, 'dist', path.slice(path.lastIndexOf('dist/') + 5)), 'utf8')).not.toContain('worker.ts')
    expect(Object.values(built.worker.outputs).flatMap(({ inputs }) => Object.keys(inputs))).not.toContain('src/ledger/worker-source.ts')
    expect(outputs.flatMap(([, { inputs }]) => Object.keys(inputs))).not.toContain('src/client/sender-worker.ts')
  })

  test('load by import and by require', () => {
    const names = exported.map(([name]) => `counterfoil${name.slice(1)}`)
    const load = (source: string, ...flags: string[]): string => {
      const { stdout, stderr, status } = spawnSync(process.execPath, [...flags, '--eval', source], { cwd: folder, encoding: 'utf8' })
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
      return stdout
    }
    const required = load(`console.log(${JSON.stringify(names)}.map((name) => Object.keys(require(name)).toSorted().join()).join('\\n'))`)
    const imported = load(`for (const name of ${JSON.stringify(names)}) console.log(Object.keys(await import(name)).toSorted().join())`, '--input-type=module')
    expect(required).toBe(imported)
  })

  test('of the command can be run', () => {
    const file = join(folder, manifest.bin.counterfoil)
    expect(readFileSync(file, 'utf8').slice(0, 20)).toBe('#!/usr/bin/env node\n')
    expect(statSync(file).mode & 0o111).toBe(0o111)
  })

  test('say what is bundled', () => {
    const bom = JSON.parse(readFileSync(join(folder, 'dist', 'bom.json'), 'utf8'))
    const licenses = readFileSync(join(folder, 'dist', 'THIRD_PARTY_LICENSES'), 'utf8')
    const names = [...packagesIn(built.node.outputs), ...packagesIn(built.browser.outputs)].map((path) => path.replace('node_modules/', ''))
    expect(bom.components.map((component: { name: string }) => component.name).toSorted()).toEqual(names.toSorted())
    for (const name of names) expect(licenses).toContain(`\n${name} `)
  })
})
