// counterfoil open, on a real trail and with a real program in the browser's place: what it is given, and what is left behind.

import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openTrail } from '../trail/trail.ts'
import { bundleIn } from '../verify/bundle-text.ts'
import { verifyBundle } from '../verify/bundle.ts'
import type { Context } from './context.ts'
import { testContext } from './fixtures.ts'
import { openLocalTrail } from './local-trail.ts'
import { run } from './program.ts'

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-test-'))
const [db, home, temporary, programs, given] = ['log.db', 'home', 'tmp', 'bin', 'given'].map((name) => join(folder, name)) as [string, string, string, string, string]
const bundle = join(folder, 'evidence.html')
const screen = { DISPLAY: ':0', PATH: programs }
const before = process.env['TMPDIR']

async function counterfoil(args: readonly string[], more: Partial<Context> = {}, told = { out: '', err: '' }): Promise<{ code: number; out: string; err: string }> {
  const code = await run(args, ({ json }) => testContext(told, { json, trail: db, cwd: folder, now: Date.now, env: screen, open: (path, mode) => openLocalTrail(path, mode, home), ...more }))
  return { code, ...told }
}
/** A program that writes down what it was given, and ends with `code`. */
function opener(code: number): void {
  writeFileSync(join(programs, 'xdg-open'), `#!/bin/sh\nprintf %s "$1" > ${given}\nexit ${code}\n`)
  chmodSync(join(programs, 'xdg-open'), 0o755)
}
const wasGiven = (): string => readFileSync(given, 'utf8')
const contents = (file: string): number => verifyBundle(bundleIn(readFileSync(file, 'utf8'))).contents.filter((one) => 'bytes' in one).length
const pages = (): string[] => readdirSync(temporary).filter((name) => name.startsWith('counterfoil-open-'))

beforeAll(async () => {
  for (const made of [temporary, programs]) mkdirSync(made)
  process.env['TMPDIR'] = temporary
  const trail = openTrail(db, { home, agent_id: 'agent-1' })
  await trail.session({ user_id: 'c-1', user_message: 'Please look.' }, (session) => { session.record('final_output', { output: 'I looked.' }) })
  await trail.close()
  await counterfoil(['export', '-o', 'evidence.html', '--disclose', 'all'])
})
beforeEach(() => {
  opener(0)
  rmSync(given, { force: true })
  for (const name of pages()) rmSync(join(temporary, name), { recursive: true })
})
afterAll(() => {
  if (before === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = before
  rmSync(folder, { recursive: true, force: true })
})

describe('a session', () => {
  test('is shown with its content, from a file that nobody else can read', async () => {
    const { code, out, err } = await counterfoil(['open'])
    expect([code, err]).toEqual([0, ''])
    const file = wasGiven()
    expect(out).toContain(file)
    expect(dirname(dirname(file))).toBe(temporary)
    expect([statSync(file).mode & 0o777, statSync(dirname(file)).mode & 0o777]).toEqual([0o600, 0o700])
    expect(contents(file)).toBe(3)
  })

  test('is shown without, where that is asked for or the keys are not here', async () => {
    await counterfoil(['open', 'last', '--disclose', 'none'])
    expect(contents(wasGiven())).toBe(0)
    const elsewhere: Partial<Context> = { open: (path, mode) => openLocalTrail(path, mode, join(folder, 'no-keys')) }
    for (const options of [[], ['--print']]) {
      expect((await counterfoil(['open', 'last', ...options], elsewhere)).err).toContain("content is withheld: the log's keys are not on this machine")
      expect(contents(wasGiven())).toBe(0)
    }
    expect((await counterfoil(['open', 'last', '--json'], elsewhere)).err).toBe('')
    expect((await counterfoil(['open', 'last', '--disclose', 'none'])).err).toBe('') // as asked
  })

  test('leaves no file once it was looked at, nor an old one', async () => {
    const asked: boolean[] = []
    const told = { out: '', err: '' }
    await counterfoil(['open'], { interactive: true, pause: async () => { asked.push(existsSync(wasGiven()), told.out.includes(wasGiven())) } }, told)
    expect([asked, pages()]).toEqual([[true, true], []]) // the path is on the screen before it waits
    await counterfoil(['open', '--print'])
    const [old] = pages()
    await counterfoil(['open', '--print'])
    expect(pages()).toHaveLength(2) // both are fresh
    const then = (Date.now() - 3_700_000) / 1000
    utimesSync(join(temporary, old!), then, then)
    await counterfoil(['open', '--print'])
    expect(pages()).toHaveLength(2)
    expect(pages()).not.toContain(old)
  })
})

describe('a bundle', () => {
  test('is verified, and shown where it lies when its page is ours', async () => {
    const { code, out } = await counterfoil(['open', 'evidence.html'])
    expect([code, wasGiven(), pages()]).toEqual([0, bundle, []])
    expect(out).toContain('whole, unpinned')
    expect(out).toContain('the page around it is the one that this version of counterfoil')
  })

  test('is shown in a page of ours when its own is another', async () => {
    const page = readFileSync(bundle, 'utf8')
    writeFileSync(join(folder, 'other.html'), page.replace('Nothing is verified', 'Everything is verified'))
    const { code, out } = await counterfoil(['open', 'other.html'])
    expect([code, readFileSync(wasGiven(), 'utf8') === page]).toEqual([0, true])
    expect(out).toContain('it is not the one that this version')
    expect(JSON.parse((await counterfoil(['verify', 'other.html', '--json'])).out)).toMatchObject({ whole: true, page: 'other' })
  })

  test('that was changed is shown as that, and one that cannot be read is not', async () => {
    const page = readFileSync(bundle, 'utf8')
    writeFileSync(join(folder, 'changed.html'), page.replace('I looked.', 'I booked.'))
    const { code, out } = await counterfoil(['open', 'changed.html'])
    expect([code, wasGiven()]).toEqual([1, join(folder, 'changed.html')])
    expect(out).toContain('NOT WHOLE')
    rmSync(given)
    writeFileSync(join(folder, 'broken.html'), page.replace('"format"', '"farmat"'))
    expect(await counterfoil(['open', 'broken.html'])).toMatchObject({ code: 1, err: expect.stringContaining('expected the members') })
    expect(existsSync(given)).toBe(false)
  })

  test('takes the key that is trusted, and nothing of a session', async () => {
    const { key } = JSON.parse((await counterfoil(['open', 'evidence.html', '--print', '--json'])).out) as { key: string }
    expect((await counterfoil(['open', 'evidence.html', '--key', key])).out).toContain('the key is the one that you trust')
    expect(await counterfoil(['open', 'evidence.html', '--disclose', 'all'])).toMatchObject({ code: 2, err: expect.stringContaining('--disclose goes with a session') })
    expect(await counterfoil(['open', 'last', '--key', key])).toMatchObject({ code: 2, err: expect.stringContaining('--key goes with a bundle') })
    expect(await counterfoil(['open', 'log.db'])).toMatchObject({ code: 2, err: expect.stringContaining('is a trail') })
  })
})

describe('without a browser', () => {
  test.each<[string, Partial<Context>]>([['there is no screen', { env: { PATH: programs } }], ['there is no opener', { env: { DISPLAY: ':0', PATH: folder } }]])('it says the path, and fails, when %s', async (_, more) => {
    const { code, out } = await counterfoil(['open'], more)
    const file = out.split('\n').find((line) => line.endsWith('evidence.html'))!
    expect([code, existsSync(given), contents(file)]).toEqual([2, false, 3])
    expect(out).toContain('no browser can be started here; open this file in one:')
  })

  test('or the opener does', async () => {
    opener(3)
    expect(await counterfoil(['open'])).toMatchObject({ code: 2, out: expect.stringContaining('the browser could not be started') })
  })

  test('--print says the path and nothing else', async () => {
    const { code, out } = await counterfoil(['open', 'evidence.html', '--print'])
    expect([code, out, existsSync(given)]).toEqual([0, `${bundle}\n`, false])
    const session = await counterfoil(['open', '--print', '--json'], { env: {} })
    expect(JSON.parse(session.out)).toMatchObject({ temporary: true, shown: false, whole: true, exit_code: 0 })
  })
})
