// The lines with curl in README.md and docs/http.md, as printed, against what `npm start` brings up: the demo's trail, one URL and one key.

import { execFile, spawn, spawnSync, type ChildProcess, type ExecFileException } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { normalise, shows } from './readme.ts'

const root = join(import.meta.dirname, '..')
const noCurl = spawnSync('curl', ['--version']).error === undefined ? undefined : 'there is no curl here'
const fences = (file: string): string[][] => [...readFileSync(join(root, file), 'utf8').matchAll(/^```(\w+)[^\n]*\n(.*?)^```$/gms)].map(([, language = '', text = '']) => [language, text])

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-http-docs-'))
let demo: ChildProcess
let said = ''
let env: Record<string, string | undefined>

beforeAll(async () => {
  const start = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { start: string } }).scripts.start
  const args = start.replace('node scripts/bootstrap.mjs ', '').split(' ')
  demo = spawn(process.execPath, [...args, '--scripted', '--port', '0'], { cwd: root, env: { PATH: process.env['PATH'], HOME: folder, TMPDIR: folder, COLUMNS: '80' }, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const text of demo.stdout!.setEncoding('utf8')) if (/^.*README\.md.*$/m.test((said += String(text)))) break
  env = { PATH: [dirname(process.execPath), process.env['PATH']].join(delimiter), HOME: folder, URL: /^ {2}URL=(http:\S+)$/m.exec(said)?.[1], KEY: /^ {2}KEY=(cf_\w+)$/m.exec(said)?.[1] }
})
afterAll(() => {
  demo.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
})

function sh(script: string): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    execFile('sh', ['-ec', script], { cwd: folder, env, timeout: 60_000 }, (error: ExecFileException | null, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out: out + err }))
  })
}

/** Commands with what is shown after each; a command goes on while a quotation is open. */
function commandsIn(text: string): [command: string, output: string][] {
  return text.split(/^\$ /m).slice(1).map((part) => {
    const lines = part.split('\n')
    let count = 1
    while (count < lines.length && (lines.slice(0, count).join('\n').split("'").length - 1) % 2 === 1) count++
    return [lines.slice(0, count).join('\n'), lines.slice(count).join('\n').trim()]
  })
}

describe('what npm start brings up', () => {
  test('prints the demo, then one URL and one key, and nothing wider than the screen', () => {
    expect(said).toContain('What tampering with a copy of the database leads to')
    expect([env['URL'], env['KEY']]).toEqual([expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/), expect.stringMatching(/^cf_/)])
    expect(said.match(/cf_\w{12}_/g)).toHaveLength(1)
  })

  test.skipIf(noCurl !== undefined).each(fences('README.md').filter(([language, text]) => language === 'sh' && text!.includes('curl')))('answers the curl lines of the readme as they are printed (%s)', async (_sh, text) => {
    const { code, out } = await sh(`curl() { command curl --fail-with-body -sS "$@"; }\n${text}`)
    expect([code, out]).toEqual([0, expect.stringContaining('"level":"durable"')])
  })

  const shown = fences('docs/http.md').filter(([language]) => language === 'console').flatMap(([, text]) => commandsIn(text!))
  test.skipIf(noCurl !== undefined).each(shown)('answers `%s` as docs/http.md shows', async (command, output) => {
    const { out } = await sh(command)
    if (!output.includes('urn:counterfoil:problem')) expect(out).not.toContain('urn:counterfoil:problem')
    expect(shows(output, out) ? normalise(output) : normalise(out)).toBe(normalise(output))
  })

  test.each(fences('README.md').filter(([language, text]) => language === 'sh' && text!.includes('COUNTERFOIL_URL')))('shows itself to the command line as the readme says (%s)', async (_sh, text) => {
    const { code, out } = await sh(`counterfoil() { "${process.execPath}" "${join(root, 'src/cli/main.ts')}" "$@"; }\n${text}`)
    expect([code, out]).toEqual([0, expect.stringContaining('content is withheld: --purpose TEXT shows it')])
    expect(out).toMatch(/^refund .*9999.*\n(.*\n)?\n {2}asked for/m)
  })

  // after the others: it adds a person
  test.skipIf(noCurl !== undefined).each(fences('docs/approvals.md').filter(([language, text]) => language === 'sh' && text!.includes('curl')))('asks a person as docs/approvals.md shows (%s)', async (_sh, text) => {
    const post = async (path: string, body: object): Promise<{ key: string }> => (await fetch(`${env['URL']}/v1/${path}`, { method: 'POST', headers: { authorization: `Bearer ${env['KEY']}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })).json() as Promise<{ key: string }>
    await post('people', { id: 'ada', kind: 'person', name: 'Ada', roles: ['approver'] })
    env['ADA'] = (await post('keys', { principal: 'ada' })).key
    const { code, out } = await sh(`curl() { command curl --fail-with-body -sS "$@"; echo; }\n${text}`)
    const answers = out.trim().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as { state?: string; approval?: { state: string }; receipts?: { level?: string; refused?: { code: string } }[] })
    expect([code, answers.map(({ state, approval, receipts }) => state ?? approval?.state ?? receipts![0]!.level ?? receipts![0]!.refused!.code)]).toEqual([0, ['durable', 'open', 'approved', 'approved', 'durable', 'approval_used']])
  })

  // last: it is the end of it
  test('ends on Ctrl-C, and leaves nothing behind', async () => {
    demo.kill('SIGINT')
    expect(await once(demo, 'exit')).toEqual([0, null])
    expect(readdirSync(folder).filter((name) => name.startsWith('counterfoil-demo-'))).toEqual([])
  })
})
