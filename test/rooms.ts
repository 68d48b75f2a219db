// The architecture's rules, as functions from source texts to complaints. The rooms and what they may import stand in
// ARCHITECTURE.md's table and nowhere else. Imports are read with TypeScript's own parser, type imports included.

import { builtinModules } from 'node:module'
import { basename, dirname, join, normalize } from 'node:path'
import ts from '@typescript/typescript6'

/** One row of the table. */
export type Room = {
  name: string
  /** Rooms (`base`) and single files of rooms (`vault/commitment`). */
  imports: readonly string[]
  /** npm packages, `@scope/*` for a whole scope. */
  packages: readonly string[]
  /** Which of its files run in a browser. */
  browser: { only: readonly string[] } | { but: readonly string[] }
}

/** Source texts by path from `src/`: `base/bytes.ts`. */
export type Sources = ReadonlyMap<string, string>

/** Names that say nothing about what a file holds. `index` makes a room a barrel. */
const emptyNames = /^(utils?|helpers?|common|shared|misc|index)$/

/** What of `node:fs` may be imported where an open database is near: what opens no file, so drops no lock. */
const opensNothing = new Set(['statSync', 'lstatSync', 'statfsSync', 'accessSync', 'realpathSync', 'constants'])
/** Where the store does with other files than the database what has to be done: syncing a folder, moving a finished copy. */
const storeFiles = 'store/file-system.ts'

/** Reads the room table out of ARCHITECTURE.md. */
export function parseRooms(markdown: string): Room[] {
  const rows = markdown.split('\n').filter((line) => /^\| `[a-z]+` \|/.test(line))
  return rows.map((line) => {
    const [name = '', , imports = '', packages = '', browser = ''] = line.split('|').slice(1).map((cell) => cell.trim())
    if (!/^(yes|no|only)\b/.test(browser)) throw new Error(`ARCHITECTURE.md: ${name}: the last cell is ${JSON.stringify(browser)}, expected yes, no or only`)
    const files = ticked(browser)
    return {
      name: ticked(name)[0]!,
      imports: ticked(imports),
      packages: ticked(packages),
      browser: browser.startsWith('yes') ? { but: files } : { only: files },
    }
  })
}

function ticked(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
}

/** Everything in `sources` that breaks a rule, one line each. */
export function breaches(sources: Sources, rooms: readonly Room[]): string[] {
  const table = new Map(rooms.map((room) => [room.name, room]))
  const found: string[] = []
  for (const [file, text] of sources) {
    const room = table.get(roomOf(file))
    if (!room) {
      found.push(`${file}: its room stands in no row of ARCHITECTURE.md`)
      continue
    }
    const module = parseModule(file, text)
    found.push(...importBreaches(file, module, room), ...nameBreaches(file), ...moduleBreaches(file, module))
    if (!isTest(file) && runsInBrowser(file, room)) found.push(...browserBreaches(file, sources))
  }
  return found
}

function importBreaches(file: string, { imports }: Module, room: Room): string[] {
  return imports.flatMap(({ from, names, typeOnly }) => {
    const target = resolveInside(file, from)
    if (target !== undefined) {
      const allowed = roomOf(target) === room.name || room.imports.some((entry) => entry === roomOf(target) || `${entry}.ts` === target)
      return allowed ? [] : [`${file}: imports ${target}; ${room.name} may not`]
    }
    if (isBuiltin(from)) {
      const nearDatabase = room.name === 'store' && file !== storeFiles && !isTest(file)
      const forbidden = nearDatabase && /^(node:)?fs(\/|$)/.test(from) ? names.filter((name) => !opensNothing.has(name)) : []
      return forbidden.map((name) => `${file}: imports ${name} of ${from}; nothing near an open database opens files, but ${storeFiles}`)
    }
    if (from === '#crypto' || isTest(file) || typeOnly) return []
    const allowed = room.packages.some((entry) => entry === from || (entry.endsWith('/*') && from.startsWith(entry.slice(0, -1))))
    return allowed ? [] : [`${file}: imports the package ${from}; ${room.name} may not`]
  })
}

function nameBreaches(file: string): string[] {
  const name = basename(file).replace(/(\.test)?\.ts$/, '')
  return roomOf(file) !== 'doors' && emptyNames.test(name) ? [`${file}: the name says nothing about what is in it`] : []
}

function moduleBreaches(file: string, { starExports, topLevelAwait }: Module): string[] {
  return [
    ...(starExports ? [`${file}: export *; name what is exported`] : []),
    ...(topLevelAwait && !isTest(file) ? [`${file}: awaits at its top level, which breaks require('counterfoil')`] : []),
  ]
}

/** Follows imports from `file` as a browser's bundler does, and complains of the first way to a module of Node. */
function browserBreaches(file: string, sources: Sources): string[] {
  const seen = new Set<string>()
  const visit = (at: string, path: readonly string[]): string[] => {
    if (seen.has(at)) return []
    seen.add(at)
    return parseModule(at, sources.get(at) ?? '').imports.flatMap(({ from, typeOnly }) => {
      if (typeOnly) return []
      if (isBuiltin(from)) return [`${[...path, from].join(' -> ')}; ${file} runs in browsers`]
      const next = from === '#crypto' ? 'base/crypto-browser.ts' : resolveInside(at, from)
      return next === undefined ? [] : visit(next, [...path, next])
    })
  }
  return visit(file, [file])
}

function runsInBrowser(file: string, { browser }: Room): boolean {
  const name = basename(file, '.ts')
  return 'only' in browser ? browser.only.includes(name) : !browser.but.includes(name)
}

function roomOf(file: string): string {
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : 'doors'
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts')
}

function isBuiltin(from: string): boolean {
  return from.startsWith('node:') || builtinModules.includes(from)
}

/** The path from `src/` that a relative import means; undefined for packages, and for what lies outside of `src/`. */
function resolveInside(file: string, from: string): string | undefined {
  const path = from.startsWith('.') ? normalize(join(dirname(file), from)) : undefined
  return path?.startsWith('..') ? undefined : path
}

type Module = { imports: { from: string; names: string[]; typeOnly: boolean }[]; starExports: boolean; topLevelAwait: boolean }

function parseModule(file: string, text: string): Module {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS)
  const module: Module = { imports: [], starExports: false, topLevelAwait: false }
  const visit = (node: ts.Node, inFunction: boolean): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      module.imports.push({ from: node.moduleSpecifier.text, ...imported(node.importClause) })
    } else if (ts.isExportDeclaration(node)) {
      if (!node.exportClause || ts.isNamespaceExport(node.exportClause)) module.starExports = true
      if (node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
        const names = node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements.map((element) => (element.propertyName ?? element.name).text) : ['*']
        module.imports.push({ from: node.moduleSpecifier.text, names, typeOnly: node.isTypeOnly })
      }
    } else if (ts.isCallExpression(node) && isLoad(node.expression) && node.arguments[0] && ts.isStringLiteralLike(node.arguments[0])) {
      module.imports.push({ from: node.arguments[0].text, names: ['*'], typeOnly: false })
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      module.imports.push({ from: node.argument.literal.text, names: ['*'], typeOnly: true })
    }
    if (!inFunction && awaits(node)) module.topLevelAwait = true
    ts.forEachChild(node, (child) => visit(child, inFunction || ts.isFunctionLike(node) || ts.isPropertyDeclaration(node)))
  }
  visit(source, false)
  return module
}

function imported(clause: ts.ImportClause | undefined): { names: string[]; typeOnly: boolean } {
  if (!clause) return { names: ['*'], typeOnly: false }
  const bindings = clause.namedBindings
  const elements = bindings && ts.isNamedImports(bindings) ? bindings.elements : []
  const names = elements.filter((element) => !element.isTypeOnly).map((element) => (element.propertyName ?? element.name).text)
  if (clause.name) names.push('default')
  if (bindings && ts.isNamespaceImport(bindings)) names.push('*')
  const typeOnly = clause.phaseModifier === ts.SyntaxKind.TypeKeyword || (elements.length > 0 && names.length === 0)
  return { names: typeOnly ? [] : names, typeOnly }
}

function isLoad(callee: ts.Expression): boolean {
  return /^(import|require|.*\.getBuiltinModule)$/s.test(callee.getText())
}

function awaits(node: ts.Node): boolean {
  return ts.isAwaitExpression(node)
    || (ts.isForOfStatement(node) && node.awaitModifier !== undefined)
    || (ts.isVariableDeclarationList(node) && node.getFirstToken()?.kind === ts.SyntaxKind.AwaitKeyword)
}
