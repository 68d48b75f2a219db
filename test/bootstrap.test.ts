import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn, spawnSync } from 'node:child_process'
import { afterAll, describe, expect, test } from 'vitest'
// @ts-expect-error plain JavaScript without types: it runs before anything is installed
import { installed } from '../scripts/bootstrap.mjs'

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-bootstrap-'))
const bootstrap = join(import.meta.dirname, '..', 'scripts', 'bootstrap.mjs')
const root = join(import.meta.dirname, '..')
afterAll(() => rmSync(folder, { recursive: true }))

type Packages = Record<string, { version?: string; optional?: boolean }>

function clone(wanted: Packages, found?: Packages): string {
  const clone = mkdtempSync(join(folder, 'clone-'))
  writeFileSync(join(clone, 'package-lock.json'), JSON.stringify({ packages: { '': {}, ...wanted } }))
  if (found) {
    mkdirSync(join(clone, 'node_modules'))
    writeFileSync(join(clone, 'node_modules', '.package-lock.json'), JSON.stringify({ packages: found }))
  }
  return clone
}

describe('what is installed', () => {
  const a = { 'node_modules/a': { version: '1.0.0' } }
  test('a fresh clone has nothing', () => expect(installed(clone(a))).toBe(false))
  test('what the lock file names is enough', () => expect(installed(clone(a, a))).toBe(true))
  test('another version is not', () => expect(installed(clone(a, { 'node_modules/a': { version: '1.0.1' } }))).toBe(false))
  test('a package too few is not', () => expect(installed(clone(a, {}))).toBe(false))
  test('a package too many is not', () => expect(installed(clone({}, a))).toBe(false))
  test('a package for another platform may be missing', () =>
    expect(installed(clone({ ...a, 'node_modules/b': { version: '1.0.0', optional: true } }, a))).toBe(true))
  test('this repository is installed', () => expect(installed(root)).toBe(true))
})

describe('the command it runs', () => {
  function runScript(source: string, ...args: string[]): { status: number | null; stdout: string; stderr: string; signal: string | null } {
    const file = join(folder, 'script.mjs')
    writeFileSync(file, source)
    return spawnSync('node', [bootstrap, file, ...args], { encoding: 'utf8', cwd: folder, input: 'in' })
  }

  test('runs on the pinned Node', () => {
    expect(runScript('console.log(process.version)').stdout).toMatch(/^v24\./)
  })
  test('gets arguments and input as they are, and nothing is added to its output', () => {
    const script = `process.stdin.on('data', (d) => console.log(JSON.stringify([process.argv.slice(2), String(d)])))`
    const { stdout, stderr } = runScript(script, 'a b', '--json', '')
    expect(stdout).toBe('[["a b","--json",""],"in"]\n')
    expect(stderr).toBe('')
  })
  test('its exit code is ours', () => expect(runScript('process.exit(7)').status).toBe(7))
  test('the signal it dies of is ours', () => expect(runScript(`process.kill(process.pid, 'SIGKILL')`).signal).toBe('SIGKILL'))
  test('a signal sent to us reaches it', async () => {
    const file = join(folder, 'waits.mjs')
    writeFileSync(file, `process.on('SIGTERM', () => process.exit(5)); setInterval(() => {}, 1000); console.log('ready')`)
    const child = spawn('node', [bootstrap, file], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.once('data', () => child.kill('SIGTERM'))
    const code = await new Promise((resolve) => { child.on('exit', resolve) })
    expect(code).toBe(5)
  })
})
