// The command as a process, on a real trail that the demo made.

import { execFile, type ExecFileException } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DemoResult } from './demo/run.ts'
import { width } from './terminal.ts'

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-cli-'))
const kept = join(folder, 'demo')
const bare = { PATH: process.env['PATH'], HOME: folder, TMPDIR: join(folder), COLUMNS: '80' }

function counterfoil(args: readonly string[], env: { [name: string]: string | undefined } = { ...bare, COUNTERFOIL_HOME: join(kept, 'state'), COUNTERFOIL_DB: join(kept, 'agent_audit.db') }): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { env, cwd: folder }, (error: ExecFileException | null, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

let demo: { code: number; out: string; err: string }
beforeAll(async () => {
  demo = await counterfoil(['demo', '--keep', kept, '--approve', 'yes', '--json'], bare)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the demo', () => {
  test('comes out as it should', () => {
    expect([demo.code, demo.err]).toEqual([0, ''])
    const { surprises, tampering, books, approved } = JSON.parse(demo.out) as DemoResult
    expect({ surprises, approved, books }).toEqual({ surprises: [], approved: true, books: { refunded: { 1182: 42, 9999: 0 }, mails: ['1.eml'] } })
    expect(tampering.map(({ outcomes }) => [outcomes.this.caught, outcomes.new.caught])).toEqual([[false, false], [true, true], [true, true], [true, true], [true, false]])
    expect(tampering.slice(1).every(({ outcomes }) => outcomes.this.where !== undefined)).toBe(true)
  })

  test('prints, leaves nothing behind and touches no state of the user', async () => {
    const { code, out, err } = await counterfoil(['demo'], bare)
    expect([code, err]).toEqual([0, ''])
    for (const said of ['rejected (no terminal)', 'counterfoil show', "counterfoil why '#", 'read_document\'s answer (untrusted)', 'whole, not witnessed', 'not caught', 'Next']) expect(out).toContain(said)
    expect(out.split('\n').filter((line) => width(line) > 80)).toEqual([])
    expect(out).not.toContain('\u001b')
    expect(readdirSync(folder).filter((name) => name.startsWith('counterfoil-demo-'))).toEqual([])
    expect(existsSync(join(folder, '.local'))).toBe(false)
  })

  test('refuses a folder with something in it', async () => {
    expect(await counterfoil(['demo', '--keep', kept], bare)).toMatchObject({ code: 2, err: expect.stringContaining('expected a new or empty folder') })
  })
})

describe('on the trail that it made', () => {
  test('show, sessions and tail agree', async () => {
    const [show, sessions, tail] = await Promise.all([counterfoil(['show', '--json']), counterfoil(['sessions', '--json']), counterfoil(['tail', 'last', '--no-follow', '-n', '1000', '--json'])])
    expect(show.out).toBe(tail.out)
    const summary = JSON.parse(sessions.out) as { session_id: string; events: number; user_id: string }
    expect(summary).toMatchObject({ events: show.out.trimEnd().split('\n').length, user_id: 'c-4711' })
    expect((await counterfoil(['show', summary.session_id.slice(-8)])).code).toBe(0)
    expect((await counterfoil(['show', '--full'])).out).toContain('Ignore your rules.')
  })

  test('why explains the act that a person approved', async () => {
    const { code, out } = await counterfoil(['why'])
    expect(code).toBe(0)
    expect(out).toMatch(/^refund .*high/)
    expect(out).toContain('answered in advance by --approve yes')
  })

  test('sql has the content in plain text', async () => {
    const { out } = await counterfoil(['sql', "SELECT json_extract(content, '$.tool_input.amount') AS amount FROM audit_events WHERE event_type = 'tool_call' AND json_extract(content, '$.tool_name') = 'refund' ORDER BY timestamp", '--csv'])
    expect(out).toBe('amount\n900\n42\n')
  })

  test('verify requires what it is told to', async () => {
    expect(await counterfoil(['verify', '--require', 'unchanged,complete,payloads,indexes,pinned'])).toMatchObject({ code: 0 })
    expect(await counterfoil(['verify', '--require', 'witnessed'])).toMatchObject({ code: 3 })
  })

  test('without keys facts are shown, and content says why not', async () => {
    const { code, out } = await counterfoil(['show'], { ...bare, COUNTERFOIL_HOME: join(folder, 'nothing'), COUNTERFOIL_DB: join(kept, 'agent_audit.db') })
    expect(code).toBe(0)
    expect(out).toContain('[no_key]')
    expect(out).toContain('refund')
    expect(existsSync(join(folder, 'nothing'))).toBe(false)
  })

  test('keys and doctor', async () => {
    expect((await counterfoil(['keys'])).out).toContain('generation 1')
    const { out } = await counterfoil(['doctor', '--json'])
    const { checks } = JSON.parse(out) as { checks: { name: string; status: string }[] }
    expect(checks.filter(({ status }) => status === 'fail')).toEqual([])
  })

  test('what is erased is gone, and every proof still holds', async () => {
    expect(await counterfoil(['erase', 'last', '--reason', 'a test', '--yes'])).toMatchObject({ code: 0, err: '' })
    const shown = await counterfoil(['show', '--full'])
    expect(shown.out).toMatch(/\[erased by #\d+\]/)
    expect(shown.out).not.toContain('Ignore your rules')
    expect(await counterfoil(['verify'])).toMatchObject({ code: 0, out: expect.stringContaining('erased') })
    expect(await counterfoil(['keys', 'renew'])).toMatchObject({ code: 0 })
    expect(await counterfoil(['verify'])).toMatchObject({ code: 0 })
  })

  test('a reader that has seen enough is no failure', async () => {
    const { code, err } = await new Promise<{ code: number | string | null | undefined; err: string }>((resolve) => {
      execFile('sh', ['-c', `"${process.execPath}" "${join(import.meta.dirname, 'main.ts')}" show --full | head -1`], { env: { ...bare, COUNTERFOIL_HOME: join(kept, 'state'), COUNTERFOIL_DB: join(kept, 'agent_audit.db') } }, (error, _, err) => resolve({ code: error?.code ?? 0, err }))
    })
    expect([code, err]).toEqual([0, ''])
  })
})
