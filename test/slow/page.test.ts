// The evidence page as its reader meets it: a file, opened offline in a real Chromium. Attacked in every part, with what hostile content can do, with
// ten thousand events, by keyboard, narrow, dark, on paper.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { testContext } from '../../src/cli/fixtures.ts'
import { run } from '../../src/cli/program.ts'
import { pieces } from '../../src/page/content.ts'
import { makePage } from '../../src/page/page.ts'
import { pageScript } from '../../src/page/script.ts'
import { bundleIn, parseBundle } from '../../src/verify/bundle-text.ts'
import type { PageVerdict } from '../../src/cli/commands/verify.ts'
import { findChromium, launchChromium, openPage, type Opened } from '../browser.ts'
import { exported } from '../sample-bundle.ts'
import { appendAll, json as jsonPayload, openKeyring, openLog, originAt, place, smallLog, steppingClock, Telling, text, type Place } from '../sample-log.ts'
import { testSigner } from '../signer.ts'

const executable = findChromium()
if (executable === undefined) console.log('page: left out, since there is no Chromium here; install one (apt-get install chromium), or name it in $CHROMIUM')

const folder = mkdtempSync(join(tmpdir(), 'counterfoil-page-'))
let browser: Browser
let script: string
let log: Place
let sessions: string[]
let key: string
let written: string

beforeAll(async () => {
  if (executable === undefined) return
  browser = await launchChromium(executable)
  script = await pageScript()
  log = place(join(folder, 'log'))
  ;({ sessions } = await smallLog(log))
  key = openKeyring(originAt(log), log.home).vkey
  const { json } = await exported(log, { session_id: sessions[0]!, disclose: [{ index: 1 }, { index: 5 }, { index: 9, slot: 'tool_input' }] })
  written = makePage(json, script)
})
afterAll(async () => {
  await browser?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What stands on the page once it has made up its mind. */
interface Seen { readonly title: string; readonly rows: readonly (readonly [string, string])[]; readonly text: string }
const SEEN = `JSON.stringify({
  title: (document.querySelector('.verdict h2') ?? document.querySelector('strong'))?.textContent ?? '',
  rows: [...document.querySelectorAll('.verdict dt')].map((dt) => [dt.textContent, dt.nextElementSibling.textContent]),
  text: document.body.innerText,
})`
async function seen(opened: Opened): Promise<Seen> {
  return JSON.parse(await opened.page.evaluate<string>(SEEN)) as Seen
}
function file(name: string, page: string): string {
  const path = join(folder, name)
  writeFileSync(path, page)
  return path
}
const settled = (opened: Opened): Promise<unknown> => opened.page.locator('.verdict h2').waitFor()
const visible = (said: string): string => pieces(said).map((piece) => (typeof piece === 'string' ? piece : piece.escape)).join('')

/** `counterfoil verify FILE`, which shares no run of code with the page. */
async function verified(path: string, trusted?: string): Promise<{ code: number; verdict?: PageVerdict; error?: { code: string; message: string } }> {
  const told = { out: '', err: '' }
  const code = await run(['verify', path, '--json', ...(trusted === undefined ? [] : ['--key', trusted])], ({ json }) => testContext(told, { json }))
  return told.err === '' ? { code, verdict: JSON.parse(told.out) as PageVerdict } : { code, error: (JSON.parse(told.err) as { error: { code: string; message: string } }).error }
}
function rowsOf({ properties }: PageVerdict): [string, string][] {
  const rows = (['failed', 'proved', 'asserted', 'unknown'] as const).flatMap((status) => Object.values(properties).filter((one) => one.status === status).map(({ says }): [string, string] => [status, visible(says)]))
  return [...rows, ['unknown', 'acts that were never recorded']]
}

describe.skipIf(executable === undefined)('an evidence page', () => {
  test('shows its session, says what was proved and what was not, and asks for nothing', async () => {
    const opened = await openPage(browser)
    const path = file('whole.html', written)
    await opened.go(path)
    await settled(opened)
    const { title, rows, text } = await seen(opened)
    expect(title).toBe('Verified, but unpinned: who signed it is not checked yet')
    expect(rows).toEqual(rowsOf((await verified(path)).verdict!))
    for (const said of ['support-bot 1.4.0', '11 events', 'Where is my refund for order 1182?', 'A tool is about to be used: refund', '{"order_id":"1182","amount":42}', 'input_messages 1 · matches its commitment', 'Withheld, not in this file: output 0', 'What to do next', 'counterfoil verify FILE --key KEY', 'the same as in #7']) expect(text).toContain(said)
    expect(await opened.page.locator('.events > li').count()).toBe(11)
    expect(opened.faults).toEqual([])
    await opened.close()
  })

  test('takes the key that a person pastes, and refuses another', async () => {
    const opened = await openPage(browser)
    const path = file('keys.html', written)
    await opened.go(path)
    await settled(opened)
    const paste = async (pasted: string): Promise<Seen> => {
      for (let i = 0; i < 60 && (await opened.page.evaluate('document.activeElement?.id')) !== 'key'; i++) await opened.page.keyboard.press('Tab')
      expect(await opened.page.evaluate('document.activeElement?.id')).toBe('key')
      await opened.page.keyboard.press('Control+A')
      await opened.page.keyboard.insertText(pasted)
      await opened.page.keyboard.press('Enter')
      return seen(opened)
    }
    const good = await paste(` ${key.slice(0, 40)} ${key.slice(40)}\n`) // as a mail program breaks it
    expect(good.title).toBe('Verified, under the key that you gave')
    expect(good.rows).toEqual(rowsOf((await verified(path, key)).verdict!))
    expect(await opened.page.evaluate('document.activeElement?.id')).toBe('verdict') // a screen reader hears it
    const other = testSigner(originAt(log), 9).vkey
    const wrong = await paste(other)
    expect(wrong.title).toBe('NOT under the key that you gave')
    expect(wrong.rows).toEqual(rowsOf((await verified(path, other)).verdict!))
    const none = await paste('not a key')
    expect(none.title).toContain('unpinned')
    expect(none.text).toContain('That is no key')
    expect(await opened.page.locator('#key').getAttribute('aria-invalid')).toBe('true')
    expect((await paste('')).title).toContain('unpinned')
    expect((await paste(key)).title).toBe(good.title)
    expect(opened.faults).toEqual([])
    await opened.close()
  })

  test('says where, and what the command says, when one character of the evidence changed', async () => {
    const bundle = parseBundle(bundleIn(written))
    const shown = bundle.payloads.findIndex((payload) => 'text' in payload)
    const payload = bundle.payloads[shown] as { text: string; salt: string }
    const withheld = bundle.payloads.findIndex((one) => 'withheld' in one)
    // what stands in the file, and what may be named for it
    const parts: [string, string, RegExp][] = [
      ['the checkpoint', JSON.stringify(bundle.checkpoint).slice(1, -1), /checkpoint/],
      ['the key list', bundle.keys[0]!, /key/],
      ['the origin', `"origin":"${bundle.origin}"`, /origin|members/],
      ['the session id', `"session_id":"${bundle.session_id}"}`, /session|members/],
      ['the format', '"format":"counterfoil/bundle/v1"', /format|members|character/],
      ['the first entry', bundle.entries[0]!.entry, /#1\b|#2\b|entries\[0\]/],
      ['an entry', bundle.entries[4]!.entry, /#5\b|#6\b|entries\[4\]/],
      ['the last entry', bundle.entries[10]!.entry, /#11\b|entries\[10\]/],
      ['an index', `"index":${bundle.entries[4]!.index}},`, /#5\b|entries\[[45]\]|character|JSON/],
      ['a proof hash', bundle.proof[1]!, /proof/],
      ['a payload', JSON.stringify(payload.text).slice(1, -1), /payloads\[0\]|character/],
      ['a salt', payload.salt, new RegExp(`payloads\\[${shown}\\]`)],
      ['what is withheld', JSON.stringify(bundle.payloads[withheld]), new RegExp(`payloads\\[${withheld}\\]|character|JSON`)],
    ]
    const opened = await openPage(browser)
    let count = 0
    for (const [name, part, where] of parts) {
      const start = written.indexOf(part)
      expect(start, name).toBeGreaterThan(0)
      const step = Math.max(1, Math.floor(part.length / 36))
      for (let at = start; at < start + part.length; at += step) {
        const before = written[at]!
        const after = /[0-8a-yA-Y]/.test(before) ? String.fromCharCode(before.charCodeAt(0) + 1) : before === ' ' ? '_' : ' '
        const path = file('changed.html', written.slice(0, at) + after + written.slice(at + 1))
        const context = `${name}, character ${at - start}: ${before} became ${after}`
        await opened.go(path)
        await settled(opened)
        const { title, rows, text } = await seen(opened)
        const { code, verdict, error } = await verified(path)
        expect([1, 2], context).toContain(code)
        expect(title, context).toMatch(/^NOT /)
        if (verdict === undefined) expect(text, context).toContain(visible(error!.message))
        else {
          expect(rows, context).toEqual(rowsOf(verdict))
          for (const { message } of verdict.problems.slice(0, 3)) expect(text, context).toContain(visible(message))
        }
        const named = error?.message ?? verdict!.problems.map(({ message }) => message).join('\n')
        expect(where.test(named) || /canonical JSON: .*(position \d+|not valid JSON)/.test(named), `${context}: ${named}`).toBe(true)
        count++
      }
    }
    expect(count).toBeGreaterThan(13 * 20)
    expect(opened.faults).toEqual([])
    console.log(`page: ${count} changes of one character in ${parts.length} parts, each named by the page as by the command`)
    await opened.close()
  })

  test('claims nothing that it cannot, when the page around the evidence changed', async () => {
    const start = written.indexOf(bundleIn(written))
    const end = start + bundleIn(written).length
    const opened = await openPage(browser)
    await opened.go(file('whole.html', written))
    await settled(opened)
    const tally = { silent: 0, told: 0, refused: 0, same: 0 }
    const places = [...Array.from({ length: start }, (_, i) => i).filter((i) => i % 31 === 0), ...Array.from({ length: written.length - end }, (_, i) => end + i).filter((i) => i % 2_503 === 0 || i > written.length - end - 40)]
    for (const at of places) {
      const before = written[at]!
      const after = /[0-8a-yA-Y]/.test(before) ? String.fromCharCode(before.charCodeAt(0) + 1) : before === '_' ? '-' : '_'
      const path = file('changed.html', written.slice(0, at) + after + written.slice(at + 1))
      const context = `character ${at}: ${before} became ${after} in ${written.slice(Math.max(0, at - 20), at + 20)}`
      await opened.go(path)
      await opened.page.waitForTimeout(60) // there may be nothing to wait for
      if ((await opened.page.evaluate<string>('document.body?.innerText ?? ""')).includes('Verifying')) await settled(opened)
      const { title, text } = await seen(opened)
      // the command reads the block alone, and says that the page is another, or finds no block
      const { verdict, error } = await verified(path)
      if (verdict === undefined) expect(error!.code, context).toMatch(/not_a_bundle|bundle_malformed/)
      else expect([verdict.whole, verdict.page], context).toEqual([true, 'other'])
      expect(title, context).not.toMatch(/^Verified, under/)
      if (title.startsWith('NOT ')) tally.refused++
      else if (title === 'The evidence fits, but this page was changed') {
        expect(text, context).toMatch(/from character \d+ on/)
        tally.told++
      } else if (title.startsWith('Verified, but unpinned')) {
        // only what HTML itself does not tell apart: the document is the same
        tally.same++
      } else tally.silent++ // no script ran: the page says that nothing is verified, or says nothing
    }
    console.log(`page: ${places.length} changes around the evidence: ${tally.told} told by the page, ${tally.refused} refused, ${tally.silent} without a verdict, ${tally.same} that HTML does not tell apart`)
    expect(tally.told).toBeGreaterThan(30)
    expect(tally.silent).toBeGreaterThan(30)
    expect(tally.same).toBeLessThan(3)
    await opened.close()
  })
})
