// The package in people's hands: the tarball of `npm pack`, installed in an empty folder, running the README's quick start
// in every way somebody might. Never the repository's own files.

import { execFile } from 'node:child_process'
import { existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build as bundle, transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startQuickStartModel, type QuickStartModel } from '../quick-start-model.ts'
import { root } from '../built-package.ts'
import { parseReadme } from '../readme.ts'

const run = promisify(execFile)
const readme = parseReadme(readFileSync(join(root, 'README.md'), 'utf8'))
const quickStart = readme.snippets.find(({ file }) => file === 'agent.ts')!.text
const answer = readme.commands.find(({ line }) => line === 'node agent.ts')!.output
const folder = mkdtempSync(join(tmpdir(), 'counterfoil-package-'))
const installed = join(folder, 'node_modules', 'counterfoil')
let tarball: string
let packed: { path: string; size: number }[]
let model: QuickStartModel

beforeAll(async () => {
  const { stdout } = await npm(root, 'pack', '--json', '--pack-destination', folder)
  // npm before 11.13 prints a list, later ones an object by name.
  const [report] = Object.values<{ filename: string; files: typeof packed }>(JSON.parse(stdout.slice(stdout.search(/^[[{]/m))))
  tarball = join(folder, report!.filename)
  packed = report!.files
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  await npm(folder, 'install', '--offline', '--no-audit', '--no-fund', tarball)
  model = await startQuickStartModel()
})
afterAll(async () => {
  await model?.[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function npm(cwd: string, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run('npm', args, { cwd, maxBuffer: 2 ** 24 })
}

/** Says at the end how many threads were started, and how many gave their part. */
const COUNT_THREADS = `const threads = require('node:worker_threads')
let [started, ended] = [0, 0]
threads.Worker = class extends threads.Worker {
  constructor(...args) {
    super(...args)
    started++
    this.on('message', ({ kind }) => { if (kind === 'end' || kind === 'checked') ended++ })
  }
}
require('node:module').syncBuiltinESMExports()
process.on('exit', () => process.stderr.write(started + ' threads, ' + ended + ' ended well\\n'))
`

/** A Node of the asked version: the pinned one for 24, others by npm, kept outside of this repository. */
async function nodeBinary(version: string): Promise<string> {
  if (version === '24') return process.execPath
  const name = `${process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'}-${process.platform}-${process.arch}`
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'counterfoil-tests', `node-${version}`)
  const binary = join(cache, 'node_modules', name, 'bin', 'node')
  if (!existsSync(binary)) {
    mkdirSync(cache, { recursive: true })
    writeFileSync(join(cache, 'package.json'), '{ "private": true }\n')
    await npm(cache, 'install', '--no-audit', '--no-fund', `${name}@${version}`)
  }
  return binary
}

describe('the tarball', () => {
  test('holds what users need and nothing else', () => {
    const paths = packed.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'LICENSE', 'NEWS.md', 'SECURITY.md', 'dist/index.js', 'dist/index.d.ts', 'dist/cli.js', 'dist/bom.json', 'dist/THIRD_PARTY_LICENSES']))
    expect(paths.filter((path) => !/^(dist|docs)\/|^clients\/python\/counterfoil\.py$|^[A-Z]+(\.md)?$|^package\.json$/.test(path))).toEqual([])
    expect(paths.filter((path) => /\.test\.|(^|\/)(src|test|node_modules)\//.test(path))).toEqual([])
  })

  test('installs as one package, in at most 10 MB, running nothing', () => {
    expect(readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual(['counterfoil'])
    const bytes = globSync('**/*', { cwd: installed }).reduce((sum, file) => sum + statSync(join(installed, file)).size, 0)
    expect(bytes).toBeLessThan(10 * 2 ** 20)
    process.stdout.write(`installed: ${(bytes / 2 ** 20).toFixed(2)} MiB\n`)
    const lock = JSON.parse(readFileSync(join(folder, 'node_modules', '.package-lock.json'), 'utf8'))
    expect(lock.packages['node_modules/counterfoil']).not.toHaveProperty('hasInstallScript')
  })

  test('satisfies publint', async () => {
    const { stdout } = await run(join(root, 'node_modules', '.bin', 'publint'), ['run', installed, '--strict', '--pack', 'false'])
    expect(stdout).toContain('All good!')
  })

  test('satisfies attw: its types are found, and are true', async () => {
    const attw = run(join(root, 'node_modules', '.bin', 'attw'), [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color', '--no-emoji'])
    const { stdout, code } = await attw.then(({ stdout }) => ({ stdout, code: 0 }), (error: { stdout: string; code: number }) => error)
    expect(code, stdout).toBe(0)
  })
})

describe('the quick start', () => {
  const commands = [
    { form: 'an ES module', file: 'agent.mjs', write: () => withoutTypes(quickStart, 'esm') },
    { form: 'TypeScript', file: 'agent.mts', write: () => Promise.resolve(quickStart) },
    { form: 'CommonJS by require', file: 'agent.cjs', write: () => withoutTypes(inFunction(quickStart), 'cjs') },
    { form: 'one bundled ES module', file: 'bundle.mjs', write: () => bundled(quickStart, 'esm') },
    { form: 'one bundled CommonJS file', file: 'bundle.cjs', write: () => bundled(inFunction(quickStart), 'cjs') },
  ]
  const runs = ['22.18.0', '24', '26'].flatMap((version) => commands.map((command) => ({ version, ...command })))

  test.each(runs)('runs as $form on Node $version', async ({ version, file, write }) => {
    const node = await nodeBinary(version)
    const project = newProject()
    writeFileSync(join(project, file), await write())
    // A bundle stands alone: nothing of ours, or of anybody's, is to be found beside it.
    const cwd = file.startsWith('bundle') ? mkdtempSync(join(tmpdir(), 'counterfoil-bundle-')) : project
    if (cwd !== project) writeFileSync(join(cwd, file), readFileSync(join(project, file)))
    const env = { ...model.env, HOME: cwd, XDG_STATE_HOME: join(cwd, 'state'), PATH: [dirname(node), process.env.PATH].join(delimiter), NO_COLOR: '1' }
    const { stdout, stderr } = await run(node, [join(cwd, file)], { cwd, env, timeout: 60_000 })
    expect(stdout.trim()).toBe(answer)
    expect(stderr).not.toMatch(/sqlite|counterfoil/i)
    const command = [join(installed, 'dist', 'cli.js')]
    const shown = await run(node, [...command, 'show', 'last'], { cwd, env })
    expect(shown.stdout).toContain('refund')
    const verified = await run(node, [...command, 'verify'], { cwd, env })
    expect(verified.stdout).toContain('whole')
    // by threads, whose code is inside too: each of them comes to its end
    writeFileSync(join(project, 'count.cjs'), COUNT_THREADS)
    const threads = await run(node, ['--require', join(project, 'count.cjs'), ...command, 'verify', '--jobs', '2'], { cwd, env })
    expect(threads.stdout.replace(/ · \S+ s\n$/, '')).toBe(verified.stdout.replace(/ · \S+ s\n$/, ''))
    expect(threads.stderr).toContain('3 threads, 3 ended well')
    const since = await run(node, [...command, 'verify', '--since'], { cwd, env })
    expect(since.stdout).toMatch(/^whole from #\d+ on/m)
    if (cwd !== project) rmSync(cwd, { recursive: true })
  })

  test('compiles with TypeScript 6 and 7, however modules are resolved', async () => {
    const project = newProject()
    writeFileSync(join(project, 'agent.mts'), quickStart)
    for (const compiler of ['typescript/bin/tsc', '@typescript/old/bin/tsc']) {
      for (const module of [['nodenext', 'nodenext'], ['node20', 'node16'], ['esnext', 'bundler']] as const) {
        const options = ['--noEmit', '--strict', '--target', 'es2024', '--module', module[0], '--moduleResolution', module[1], '--types', 'node', '--ignoreConfig', 'agent.mts']
        const { stdout } = await run(process.execPath, [join(root, 'node_modules', compiler), ...options], { cwd: project }).catch((error: { stdout: string }) => error)
        expect({ compiler, module, stdout }).toEqual({ compiler, module, stdout: '' })
      }
    }
  })
})

describe('the command', () => {
  test('runs the demo where nothing else is installed: the SDK that its agent uses is inside', async () => {
    expect(existsSync(join(folder, 'node_modules', '@anthropic-ai'))).toBe(false)
    const state = mkdtempSync(join(tmpdir(), 'counterfoil-state-'))
    const env = { ...process.env, HOME: state, XDG_STATE_HOME: join(state, 'state'), COUNTERFOIL_HOME: join(state, 'home'), ANTHROPIC_API_KEY: '', NO_COLOR: '1' }
    const { stdout, stderr } = await run('npx', ['--offline', 'counterfoil', 'demo', '--approve', 'yes'], { cwd: folder, env, timeout: 60_000 })
    expect(stderr.replaceAll(/^npm (warn|notice).*\n/gm, '')).toBe('')
    expect(stdout).toContain('approved by')
    expect(stdout).toMatch(/^whole, not witnessed/m)
    expect(stdout).toMatch(/one byte +caught at #\d+ +caught at #\d+/)
    expect(readdirSync(folder).filter((name) => /\.db|spool/.test(name))).toEqual([])
    rmSync(state, { recursive: true })
  })
})

test('the browser door bundles for a browser, without Node', async () => {
  const { outputFiles } = await bundle({
    stdin: { contents: `export * from 'counterfoil/verify'`, resolveDir: folder }, bundle: true, platform: 'browser', format: 'esm', write: false,
  })
  expect(outputFiles[0]!.text).not.toMatch(/\bnode:[a-z_/]+['"]/)
})

/** A new folder below the installed package, with the packages that the quick start uses beside ours. */
function newProject(): string {
  const project = mkdtempSync(join(folder, 'project-'))
  const modules = join(project, 'node_modules')
  for (const name of ['@anthropic-ai/sdk', 'zod', '@types/node']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  return project
}

async function withoutTypes(source: string, format: 'esm' | 'cjs'): Promise<string> {
  return (await transform(source, { loader: 'ts', format })).code
}

async function bundled(source: string, format: 'esm' | 'cjs'): Promise<string> {
  const { outputFiles } = await bundle({ stdin: { contents: source, loader: 'ts', resolveDir: newProject() }, bundle: true, platform: 'node', target: 'node22.18', format, write: false })
  return outputFiles[0]!.text
}

/** The same program without an await at its top level, which CommonJS has not. */
function inFunction(source: string): string {
  const imports = source.split('\n').filter((line) => line.startsWith('import '))
  const rest = source.split('\n').filter((line) => !line.startsWith('import '))
  return [...imports, 'async function main() {', ...rest, '}', 'void main()'].join('\n')
}
