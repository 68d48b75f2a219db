// Runs README.md: its files are written into an empty folder with the built package, its commands run there, and their
// output must be what the README shows.

import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startQuickStartModel, type QuickStartModel } from './quick-start-model.ts'
import { builtPackage, root } from './built-package.ts'
import { normalise, parseReadme, shows } from './readme.ts'

const run = promisify(execFile)
const readme = parseReadme(readFileSync(join(root, 'README.md'), 'utf8'))

describe('README.md', () => {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-readme-'))
  let model: QuickStartModel
  let env: Record<string, string | undefined>

  beforeAll(async () => {
    const modules = join(folder, 'node_modules')
    const bin = join(modules, '.bin')
    mkdirSync(join(modules, '@types'), { recursive: true })
    mkdirSync(bin)
    mkdirSync(join(modules, '@anthropic-ai'))
    const built = await builtPackage()
    symlinkSync(built.folder, join(modules, 'counterfoil'))
    for (const name of ['@anthropic-ai/sdk', 'zod', '@types/node']) symlinkSync(join(root, 'node_modules', name), join(modules, name))
    writeFileSync(join(bin, 'counterfoil'), `#!/bin/sh\nexec "${process.execPath}" "${join(built.folder, 'dist', 'cli.js')}" "$@"\n`)
    chmodSync(join(bin, 'counterfoil'), 0o755)
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n')
    model = await startQuickStartModel()
    const home = join(folder, 'home')
    env = {
      ...model.env, HOME: home, XDG_STATE_HOME: join(home, 'state'), TZ: 'UTC', NO_COLOR: '1', COLUMNS: '120',
      PATH: [bin, dirname(process.execPath), process.env.PATH].join(delimiter),
    }
    for (const { file, text } of readme.snippets) writeFileSync(join(folder, file), text)
  })
  afterAll(async () => {
    await model?.[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  test('shows a quick start and what it gives', () => {
    expect(readme.snippets.map(({ file }) => file)).toContain('agent.ts')
    expect(readme.commands.map(({ line }) => line)).toContain('node agent.ts')
  })

  test('shows programs that compile for their reader', async () => {
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--skipLibCheck', 'false', '--types', 'node']
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    const files = readme.snippets.map(({ file }) => file)
    const { stdout } = await run(process.execPath, [compiler, ...options, '--ignoreConfig', ...files], { cwd: folder }).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  })

  // In order: later commands look at what earlier ones made.
  test.each(readme.commands.filter(({ line }) => !/^npm (i|install) /.test(line)))('`$line` gives what is shown', async ({ line, output }) => {
    const command = line.replace(/^npx /, '')
    const { stdout, stderr } = await run('sh', ['-c', command], { cwd: folder, env, timeout: 20_000 }).catch((error: { stdout: string; stderr: string }) => error)
    expect(shows(output, stdout + stderr) ? normalise(output) : normalise(stdout + stderr)).toBe(normalise(output))
  })
})

describe('its reader', () => {
  test('finds files, commands and outputs', () => {
    const markdown = ['```ts file=a.ts', 'one()', '```', 'text', '```console', '$ node a.ts', 'x', 'y', '', '$ b', '```', '```sh', 'npm test', '```'].join('\n')
    expect(parseReadme(markdown)).toEqual({
      snippets: [{ file: 'a.ts', text: 'one()\n' }],
      commands: [{ line: 'node a.ts', output: 'x\ny' }, { line: 'b', output: '' }],
    })
  })
  test('refuses a program that nobody would run', () => expect(() => parseReadme('```ts\none()\n```')).toThrow('never run: one()'))
  test('does not look at ids, times and spaces', () =>
    expect(shows('session 7f3a91c2 · 2026-11-21 08:00:00Z\n  #1  0.004  41.2 s', 'session 01ab23cd · 2027-01-02 23:59:59Z\n #1 1.204 2 s')).toBe(true))
  test('looks at everything else', () => {
    expect(shows('3 events', '4 events')).toBe(false)
    expect(shows('a', 'a\nb')).toBe(false)
    expect(shows('a\nb', 'a')).toBe(false)
    expect(shows('#12 tool', '#13 tool')).toBe(false)
  })
  test('takes … for any lines, and for nothing else', () => {
    expect(shows('a\n…\nd', 'a\nb\nc\nd')).toBe(true)
    expect(shows('a\n…\nd', 'a\nb\nc')).toBe(false)
  })
})
