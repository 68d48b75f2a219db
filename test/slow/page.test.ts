// The evidence page as its reader meets it: a file, opened offline in a real Chromium. Attacked in every part, with what hostile content can do, with
// ten thousand events, by keyboard, narrow, dark, on paper.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
import { appendAll, json as jsonPayload, openKeyring, openLog, originAt, place, smallLog, Telling, text, type Place } from '../sample-log.ts'
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
      const step = Math.max(1, Math.floor(part.length / 24))
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
    expect(count).toBeGreaterThan(13 * 15)
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
    const places = [...Array.from({ length: start }, (_, i) => i).filter((i) => i % 61 === 0), ...Array.from({ length: written.length - end }, (_, i) => end + i).filter((i) => i % 5_003 === 0 || i > written.length - 30)]
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
        // only what HTML itself does not tell apart: closing tags at the end of a document say nothing
        const tag = written.lastIndexOf('</', at)
        expect(tag > end && /^<\/(?:body|html)/.test(written.slice(tag)) && !written.slice(tag, at).includes('>'), context).toBe(true)
        tally.same++
      } else tally.silent++ // no script ran: the page says that nothing is verified, or says nothing
    }
    console.log(`page: ${places.length} changes around the evidence: ${tally.told} told by the page, ${tally.refused} refused, ${tally.silent} without a verdict, ${tally.same} that HTML does not tell apart`)
    expect(tally.told).toBeGreaterThan(20)
    expect(tally.silent).toBeGreaterThan(20)
    await opened.close()
  })

  test('holds 10,000 events: found and scrolled to, and nothing of what is withheld is in the file', async () => {
    const where = place(join(folder, 'large'))
    const ledger = await openLog(where)
    const tell = new Telling()
    const secret = (n: number): string => `Kundin ${n} "Öztürk" <b>wohnt</b> & zahlt \\ in der Lindenallee ${n * 7919}`
    await appendAll(ledger, [tell.draft('session_start', { agent_id: 'long' }, { user_message: text('begin') })])
    for (let from = 0; from < 10_000; from += 500) await appendAll(ledger, Array.from({ length: 500 }, (_, i) => tell.draft('tool_call', { tool_name: 'look', risk: 'low' }, { tool_input: text(secret(from + i)) })))
    await appendAll(ledger, [tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })])
    await ledger.close()
    const disclosed = Array.from({ length: 10 }, (_, i) => 7 + 900 * i) // #2 is the first tool call, of customer 0
    const { json } = await exported(where, { session_id: tell.session_id, disclose: disclosed.map((n) => ({ index: n + 2 })) })
    const page = makePage(json, script)
    const whole = tracesIn(page)
    for (const n of disclosed) expect(whole(secret(n)), `customer ${n} is disclosed`).toBe(true)
    for (const n of [0, 1, 6, 8, 9, 100, 906, 908, 4_711, 9_998, 9_999]) expect(whole(secret(n)), `customer ${n} is withheld`).toBe(false)
    expect(whole('Lindenallee 0')).toBe(false)

    const opened = await openPage(browser)
    const cpu = await opened.page.context().newCDPSession(opened.page)
    await cpu.send('Performance.enable', { timeDomain: 'threadTicks' })
    await opened.page.addInitScript("globalThis.stalls = []; new PerformanceObserver((list) => { for (const { startTime, duration } of list.getEntries()) stalls.push([startTime, duration]) }).observe({ type: 'longtask', buffered: true })")
    const started = performance.now()
    await opened.go(file('large.html', page))
    await settled(opened)
    const verdictMs = performance.now() - started
    const spent = (await cpu.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration')!.value * 1000
    expect((await seen(opened)).title).toContain('Verified, but unpinned')
    const rows = (): Promise<number> => opened.page.locator('.events > li').count()
    const told = await opened.page.evaluate<number>('performance.now()')
    while ((await rows()) < 10_002) await opened.page.waitForTimeout(50)
    const rowsMs = performance.now() - started
    const stalls = await opened.page.evaluate<[number, number][]>('stalls')
    const after = stalls.filter(([from]) => from > told).map(([, ms]) => ms)
    console.log(`page: ${(page.length / 1e6).toFixed(1)} MB, 10,002 events: verdict ${verdictMs.toFixed(0)} ms after it was opened (${spent.toFixed(0)} ms of processor time), all events ${rowsMs.toFixed(0)} ms; longest stall before the verdict ${Math.max(0, ...stalls.map(([, ms]) => ms)).toFixed(0)} ms, after it ${Math.max(0, ...after).toFixed(0)} ms`)
    // far down, without a blank: what is on the screen is drawn
    for (const part of [0.3, 0.97, 0.5]) {
      await opened.page.evaluate(`scrollTo(0, document.body.scrollHeight * ${part})`)
      await expect.poll(() => opened.page.evaluate<string>("document.elementFromPoint(innerWidth / 2, innerHeight / 2)?.closest('li')?.innerText ?? ''"), { timeout: 60_000 }).toContain('A tool is about to be used: look')
    }
    // the browser's own search finds what was never on the screen
    expect(await opened.page.evaluate(`getSelection().removeAllRanges(), find('Lindenallee ${(7 + 900 * 9) * 7919}')`)).toBe(true)
    expect(await opened.page.evaluate("find('Lindenallee 999999999')")).toBe(false)
    // and so does ours, by key
    await opened.page.locator('#find').focus()
    await opened.page.keyboard.insertText('lindenallee')
    await expect.poll(rows, { timeout: 60_000 }).toBe(10)
    expect(await opened.page.locator('[role=status]').innerText()).toBe('10 of 10,002 events')
    await opened.page.keyboard.press('Control+A')
    await opened.page.keyboard.press('Delete')
    await expect.poll(rows, { timeout: 60_000 }).toBe(10_002)
    await opened.page.locator('#only').check()
    await expect.poll(rows, { timeout: 60_000 }).toBe(10)
    expect(opened.faults).toEqual([])
    await opened.close()
  })

  test('shows what an attacker recorded as inert text, in a narrow window too', async () => {
    const hostile: { readonly [name: string]: string } = {
      html: '<img src=x onerror="globalThis.pwned = 1"><script>globalThis.pwned = 1</script><iframe src="https://example.com"></iframe><a href="javascript:pwned=1">x</a>',
      ends: '</script></pre></main><h1>Verified, under the key that you gave</h1><!-- ]]> --> <!--<script>',
      controls: 'before\u0000\u0007\u001b[31mred\u001b[0m\r\u009b2Jafter',
      bidi: 'user\u202e txt.exe \u2066hidden\u2069 zero\u200bwidth \u{e0041}tag a\u0300\u0301\u0302\u0303\u0304\u0305\u0306\u0307',
      arabic: 'أين المبلغ الخاص بي؟ الطلب 1182 (refund)',
      unbroken: 'x'.repeat(3_000),
      escaped: 'not \\u202e an escape of ours',
      large: `${'large <b> text '.repeat(70_000)}the very end`,
    }
    const where = place(join(folder, 'hostile'))
    const ledger = await openLog(where)
    const tell = new Telling()
    await appendAll(ledger, [tell.draft('session_start', { agent_id: 'a'.repeat(128) }, { user_message: text('begin') })])
    for (const content of Object.values(hostile)) await appendAll(ledger, [tell.draft('final_output', {}, { output: text(content) })])
    await appendAll(ledger, [
      tell.draft('tool_result', { tool_name: 'b'.repeat(128) }, { tool_output: jsonPayload({ lone: '\ud800', key: '<svg onload=pwned=1>' }) }, { capture: 'after' }),
      tell.draft('tool_result', { tool_name: 'look' }, { tool_output: { m: 'bytes', content: new Uint8Array([0xff, 0xfe, 0x3c, 0x62, 0x3e]) } }, { capture: 'after' }),
      tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' }),
    ])
    await ledger.close()
    const { json } = await exported(where, { session_id: tell.session_id, disclose: 'all' })
    const path = file('hostile.html', makePage(json, script))
    for (const options of [{ viewport: { width: 320, height: 640 } }, { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' as const }]) {
      const opened = await openPage(browser, options)
      await opened.go(path)
      await settled(opened)
      const { title, text: shown } = await seen(opened)
      expect(title).toContain('Verified, but unpinned')
      expect(await opened.page.evaluate('typeof globalThis.pwned')).toBe('undefined')
      expect(await opened.page.evaluate("document.querySelectorAll('img, iframe, svg, .events script, .events h1, [onerror], [onload], a:not([href^=\"#e\"])').length")).toBe(0)
      expect(await opened.page.evaluate('document.querySelectorAll("h1").length')).toBe(1)
      for (const name of ['html', 'ends', 'arabic', 'unbroken', 'escaped']) expect(shown, name).toContain(hostile[name])
      expect(shown).toContain('before\\u0000\\u0007\\u001b[31mred\\u001b[0m\\u000d\\u009b2Jafter')
      expect(shown).toContain('user\\u202e txt.exe \\u2066hidden\\u2069 zero\\u200bwidth \\u{e0041}tag')
      expect(shown).toContain('{"lone":"\\ud800","key":"<svg onload=pwned=1>"}')
      expect(shown).toContain('5 bytes: fffe3c623e')
      expect(shown).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u202e\u2066\u200b]/)
      expect(await opened.page.locator('.escape').count()).toBeGreaterThan(10) // ours are marked; what only looks so is not
      expect(await opened.page.locator('pre', { hasText: 'an escape of ours' }).locator('.escape').count()).toBe(0)
      // right to left where the text is
      expect(await opened.page.evaluate("getComputedStyle([...document.querySelectorAll('pre')].find((pre) => pre.textContent.includes('1182'))).direction")).toBe('rtl')
      // the long text is cut, says so, and comes at a press
      expect(shown).not.toContain('the very end')
      await opened.page.getByRole('button', { name: 'Show all of it' }).press('Enter')
      expect((await seen(opened)).text).toContain('the very end')
      expect(await opened.page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
      expect(opened.faults).toEqual([])
      await opened.close()
    }
  })

  test('can be used by key, is legible in light and dark, does not move, and prints whole', async () => {
    const bad = file('bad.html', written.replace('Where is my refund', 'Where was my refund'))
    const good = file('good.html', written)
    const others: number[] = []
    for (const colorScheme of ['light', 'dark'] as const) for (const path of [good, bad]) {
      const opened = await openPage(browser, { colorScheme, reducedMotion: 'reduce' })
      await opened.go(path)
      await settled(opened)
      const contrasts = await opened.page.evaluate<[number, string][]>(CONTRASTS)
      others.push(...contrasts.map(([ratio]) => ratio))
      expect(contrasts.filter(([ratio]) => ratio < 4.5), colorScheme).toEqual([])
      expect(contrasts.length).toBeGreaterThan(30)
      expect(await opened.page.evaluate("[...document.querySelectorAll('*')].filter((one) => { const style = getComputedStyle(one); return style.animationName !== 'none' || style.transitionDuration !== '0s' }).length")).toBe(0)
      expect(await opened.page.evaluate("[...document.querySelectorAll('input')].filter((one) => one.labels.length === 0).length")).toBe(0)
      expect(await opened.page.evaluate('[document.documentElement.lang, document.title].join()')).toBe('en,Evidence: one session of an AI agent')
      // each stop of the Tab key shows where it is
      const stops: string[] = []
      for (let i = 0; i < 12; i++) {
        await opened.page.keyboard.press('Tab')
        const [stop, outline] = await opened.page.evaluate<[string, string]>("[document.activeElement.id || document.activeElement.textContent.slice(0, 20), getComputedStyle(document.activeElement).outlineStyle]")
        stops.push(stop)
        if (!stop.trim().startsWith('Evidence:')) expect([stop, outline]).toEqual([stop, 'solid'])
      }
      if (path === good) expect(stops).toEqual(expect.arrayContaining(['key', 'Check', 'find', 'only', 'The signed checkpoin']))
      else expect(stops).toContain('Show #1')
      await opened.close()
    }
    console.log(`page: least contrast of text ${Math.min(...others).toFixed(2)}`)
    const opened = await openPage(browser, { colorScheme: 'dark' })
    await opened.go(good)
    await settled(opened)
    await opened.page.emulateMedia({ media: 'print' })
    expect(await opened.page.evaluate("[...document.querySelectorAll('button, form')].filter((one) => one.offsetParent !== null).length")).toBe(0)
    expect(await opened.page.evaluate("[...document.querySelectorAll('.events pre')].filter((one) => one.scrollHeight > one.clientHeight + 1).length")).toBe(0)
    expect(await opened.page.evaluate('getComputedStyle(document.body).backgroundColor + getComputedStyle(document.body).color')).toBe('rgb(255, 255, 255)rgb(0, 0, 0)')
    expect(await opened.page.locator('#signed pre').first().isVisible()).toBe(false)
    expect((await opened.page.pdf()).length).toBeGreaterThan(10_000)
    expect(await opened.page.locator('#signed pre').nth(1).innerText()).toBe(key) // on paper, whose key it was must stand
    await opened.close()
  })

  test('shows where a message stands that an earlier call brought, and by what content was erased', async () => {
    const opened = await openPage(browser)
    await opened.go(file('lists.html', written))
    await settled(opened)
    const call = opened.page.locator('#e5')
    expect(await call.innerText()).toContain('input_messages: 3 in all, 1 of them as in #2, 2 new.')
    await call.getByRole('button', { name: 'Show all 3' }).press('Enter')
    expect(await call.innerText()).toContain('input_messages 0, brought by #2: withheld: not in this file')
    expect(await call.innerText()).toContain('input_messages 2, brought by #5 · matches its commitment')
    await call.getByRole('link', { name: '#2' }).press('Enter')
    expect(await opened.page.evaluate('document.activeElement.id')).toBe('e2')
    await opened.close()

    const where = place(join(folder, 'erased'))
    const ledger = await openLog(where)
    const tell = new Telling()
    await appendAll(ledger, [tell.draft('session_start', { agent_id: 'a' }, { user_message: text('forget me') }), tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })])
    await ledger.erase({ session_ids: [tell.session_id], reason: 'asked for' })
    await ledger.close()
    const { json } = await exported(where, { session_id: tell.session_id, disclose: 'all' })
    const erased = await openPage(browser)
    await erased.go(file('erased.html', makePage(json, script)))
    await settled(erased)
    const { text: shown } = await seen(erased)
    expect(shown).toMatch(/Erased by entry #\d+: user_message/)
    expect(shown).toContain("Content is erased, by the log's keeper")
    expect(shown).not.toContain('forget me')
    await erased.close()
  })
})

/** The contrast (WCAG 2.2 §1.4.3) of each text on the page with what is behind it. */
const CONTRASTS = `(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number)
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const behind = (node) => { for (let one = node; one; one = one.parentElement) { const color = parse(getComputedStyle(one).backgroundColor); if (color.length === 3 || color[3] > 0) return color } return [255, 255, 255] }
  const found = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement
    if (walker.currentNode.data.trim() === '' || node.offsetParent === null || node.localName === 'script') continue
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x)
    found.push([(a + 0.05) / (b + 0.05), walker.currentNode.data.slice(0, 40)])
  }
  return found
})()`

/** Whether a text is in the file in any form: as it is, escaped for HTML, JSON or a URL, in UTF-16, hex or base64 at each shift, in what base64 hides, or compressed there. */
function tracesIn(page: string): (secret: string) => boolean {
  const blobs: Buffer[] = [Buffer.from(page, 'utf8')]
  for (const { 0: base64 } of page.matchAll(/[A-Za-z0-9+/]{24,}={0,2}/g)) {
    const bytes = Buffer.from(base64, 'base64')
    blobs.push(bytes)
    for (const open of [gunzipSync, inflateSync, inflateRawSync, brotliDecompressSync, zstdDecompressSync]) {
      if (bytes.length > 64 && open !== gunzipSync && open !== zstdDecompressSync && open !== inflateSync) continue // without a header anything may seem to open: short ones are tried
      try {
        blobs.push(open(bytes))
      } catch {
        // it is none
      }
    }
  }
  const hidden = Buffer.concat(blobs.flatMap((blob) => [blob, Buffer.from([0])]))
  const lower = hidden.toString('latin1').toLowerCase()
  return (secret) => {
    const html = secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
    const json = JSON.stringify(secret).slice(1, -1)
    const bytes = Buffer.from(secret, 'utf8')
    const raw = [secret, html, json, json.replaceAll('<', '\\u003c'), JSON.stringify(json).slice(1, -1), encodeURIComponent(secret), /"([^"]+)"/.exec(secret)?.[0], /Lindenallee \d+$/.exec(secret)?.[0]].filter((form): form is string => form !== undefined && form !== '"Öztürk"')
    const forms = [...raw.map((form) => Buffer.from(form, 'utf8')), Buffer.from(secret, 'utf16le'), Buffer.from(secret, 'utf16le').swap16(), ...[0, 1, 2].map((shift) => Buffer.from(bytes.subarray(shift, shift + 45).toString('base64')))]
    return forms.some((form) => {
      for (let from = hidden.indexOf(form); from !== -1; from = hidden.indexOf(form, from + 1)) {
        const next = hidden[from + form.length]
        if (next === undefined || next < 0x30 || next > 0x39) return true // "Lindenallee 7" is not "Lindenallee 79"
      }
      return false
    }) || lower.includes(bytes.toString('hex'))
  }
}
