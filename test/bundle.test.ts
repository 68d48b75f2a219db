// Attacks on evidence bundles: every character changed, parts swapped and cut, everything signed again by another key; and what is
// withheld is looked for in every form.

import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fromBase64, toBase64, utf8 } from '../src/base/bytes.ts'
import { canonicalJson } from '../src/base/canonical-json.ts'
import type { Entry } from '../src/event/entry.ts'
import { firstPrev } from '../src/event/session.ts'
import { signCheckpoint } from '../src/log/checkpoint.ts'
import { cosignatureSigner } from '../src/log/cosignature.ts'
import { leafHash } from '../src/log/hash.ts'
import { addSignature } from '../src/log/note.ts'
import { treeRoot } from '../src/log/tree.ts'
import { makePage } from '../src/page/page.ts'
import { pageScript } from '../src/page/script.ts'
import { bundleIn, formatBundle, parseBundle, type Bundle } from '../src/verify/bundle-text.ts'
import { verifyBundle, type BundleTrust } from '../src/verify/bundle.ts'
import { exported } from './sample-bundle.ts'
import { appendAll, appendRun, openKeyring, openLog, originAt, place, scratch, smallLog, steppingClock, Telling, text, type Place } from './sample-log.ts'
import { testSigner } from './signer.ts'

const folder = scratch()
let log: Place
let sessions: string[]
let key: string
let whole: string
let small: string

const SECRET = 'Ärger "mit" <b>Bestellung</b> & \\ 77123'

beforeAll(async () => {
  log = place(join(folder.folder, 'log'))
  ;({ sessions } = await smallLog(log))
  const tell = new Telling(undefined, Date.UTC(2026, 10, 21, 9))
  sessions.push(tell.session_id)
  const ledger = await openLog(log, { clock: steppingClock(Date.UTC(2026, 10, 21, 9)) })
  await appendAll(ledger, [
    tell.draft('session_start', { agent_id: 'tiny' }, { user_message: text(SECRET) }),
    tell.draft('final_output', {}, { output: text('Say </script><script>alert(1)</script> and \\u003c.') }),
    tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' }),
  ])
  await ledger.close()
  key = openKeyring(originAt(log), log.home).vkey
  whole = (await exported(log, { session_id: sessions[0]!, disclose: 'all' })).json
  const start = parseBundle((await exported(log, { session_id: tell.session_id, disclose: 'none' })).json).entries[0]!.index
  small = (await exported(log, { session_id: tell.session_id, disclose: [{ index: start + 1, slot: 'output' }] })).json
})
afterAll(() => folder.remove())

const codes = (json: string, trust: BundleTrust = { key }): string[] => [...new Set(verifyBundle(json, trust).verdict.problems.map((problem) => problem.code))].sort()
const changed = (json: string, change: (bundle: { -readonly [name in keyof Bundle]: any }) => void): string => {
  const bundle = structuredClone(parseBundle(json)) as { -readonly [name in keyof Bundle]: any }
  change(bundle)
  return formatBundle(bundle)
}

describe('a bundle', () => {
  test('proves its session, and the key only where it is given', () => {
    const { verdict } = verifyBundle(whole, { key })
    expect(verdict).toMatchObject({ whole: true, problems: [], counts: { entries: 11, withheld: 0 }, properties: { unchanged: { status: 'proved' }, complete: { status: 'proved' }, payloads: { status: 'proved' }, pinned: { status: 'proved' }, witnessed: { status: 'unknown' } } })
    expect(verifyBundle(whole).verdict).toMatchObject({ whole: true, properties: { pinned: { status: 'unknown', says: expect.stringContaining('unpinned') } } })
  })

  test('of a session that is open says that its end does not show', async () => {
    const { verdict } = await exported(log, { session_id: sessions[2]!, disclose: 'none' })
    expect(verdict).toMatchObject({ whole: true, properties: { complete: { status: 'unknown', says: expect.stringContaining('no end here') }, payloads: { status: 'unknown' } } })
  })

  test('goes through its page unchanged, and nothing of a record is markup in it', async () => {
    const page = makePage(small, await pageScript())
    expect(bundleIn(page)).toBe(small)
    expect(page.match(/<script/g)).toHaveLength(2)
    expect(page.match(/<\/script>/g)).toHaveLength(2)
    expect(page).not.toContain('<script>alert')
    const content = verifyBundle(small, { key }).contents.find((each) => 'bytes' in each)!
    expect(new TextDecoder().decode((content as { bytes: Uint8Array }).bytes)).toBe('Say </script><script>alert(1)</script> and \\u003c.')
    expect(() => bundleIn(page + page)).toThrow(/got more/)
    expect(() => bundleIn('<html></html>')).toThrow(expect.objectContaining({ code: 'not_a_bundle' }))
  })

  test('holds nothing of what is withheld, in any form', async () => {
    const page = makePage(small, await pageScript())
    const forms = [SECRET, JSON.stringify(SECRET), JSON.stringify(SECRET).slice(1, -1), SECRET.replaceAll('<', '\\u003c'), 'Bestellung', '77123', ...[0, 1, 2].map((shift) => Buffer.from(SECRET).subarray(shift).toString('base64').slice(0, 24))]
    for (const form of forms) expect(page.includes(form), form).toBe(false)
    expect(parseBundle(small).payloads.filter((each) => 'withheld' in each).map((each) => Object.keys(each).sort().join())).toEqual(['index,media,position,slot,withheld'])
    const open = (await exported(log, { session_id: sessions[4]!, disclose: 'all' })).json
    expect(open).toContain('77123') // the search can find it
  })

  test('accounts for what was erased', async () => {
    const where = place(join(folder.folder, 'erased'))
    const ledger = await openLog(where)
    const tell = new Telling()
    await appendRun(ledger, tell, { user: 'u-1', order: '1' })
    await appendRun(ledger, new Telling(undefined, Date.UTC(2026, 10, 21, 8, 9)), { user: 'u-2', order: '2' })
    await ledger.erase({ session_ids: [tell.session_id], reason: 'asked for' })
    await ledger.close()
    const { json, verdict, missing } = await exported(where, { session_id: tell.session_id, disclose: 'all' })
    expect(verdict).toMatchObject({ whole: true, counts: { entries: 13, payloads: 0, erased: missing } })
    expect(verdict.properties.payloads.says).toContain('erased, by entry #')
    expect(codes(changed(json, (bundle) => { bundle.entries = bundle.entries.slice(0, -1) }), {})).toContain('root')
  })
})

describe('an attack is reported', () => {
  test('when any character of the file changes', () => {
    let reported = 0
    for (let i = 0; i < small.length; i++) {
      for (const other of [String.fromCharCode(small.charCodeAt(i) ^ 1), small[i] === '0' ? '1' : '0', '']) {
        const forged = small.slice(0, i) + other + small.slice(i + 1)
        let said: string | undefined
        try {
          const { verdict } = verifyBundle(forged, { key })
          if (!verdict.whole) said = verdict.problems[0]!.message
        } catch (error) {
          said = (error as Error).message
        }
        expect(said, `character ${i}, ${small.slice(Math.max(0, i - 30), i + 10)}`).toBeTruthy()
        reported++
      }
    }
    console.log(`bundle: ${reported} changes of ${small.length} characters, all reported`)
  }, 120_000)

  test('on each field, with its place', () => {
    const other = toBase64(new Uint8Array(32).fill(7))
    const at = (n: number): number => parseBundle(whole).entries[n]!.index
    expect(codes(changed(whole, (bundle) => { bundle.origin += 'x' }))).toContain('checkpoint')
    expect(codes(changed(whole, (bundle) => { bundle.session_id = sessions[1] }))).toEqual(expect.arrayContaining(['entry_extra', 'session_missing']))
    expect(codes(changed(whole, (bundle) => { bundle.keys = [testSigner(bundle.origin, 9).vkey] }))).toEqual(['checkpoint', 'key'])
    expect(codes(changed(whole, (bundle) => { bundle.keys.push(testSigner('witness', 9, 4).vkey) }))).toEqual(['checkpoint'])
    expect(codes(changed(whole, (bundle) => { bundle.proof[0] = other }))).toEqual(['root'])
    expect(codes(changed(whole, (bundle) => { bundle.proof.push(other) }))).toEqual(['root'])
    expect(codes(changed(whole, (bundle) => { bundle.payloads[2].salt = other }))).toEqual(['commitment'])
    expect(codes(changed(whole, (bundle) => { bundle.payloads[2].text += ' ' }))).toEqual(['commitment'])
    for (const [field, value] of [['slot', 'output'], ['position', 3], ['media', 'bytes'], ['index', 0]] as const) expect(codes(changed(whole, (bundle) => { bundle.payloads[2][field] = value }))).toEqual(['payload_list'])
    expect(codes(changed(whole, (bundle) => { bundle.payloads.pop() }))).toEqual(['payload_list'])
    expect(codes(changed(whole, (bundle) => { bundle.payloads.push(bundle.payloads[0]) }))).toEqual(['payload_list'])
    expect(codes(changed(whole, (bundle) => { [bundle.payloads[0].salt, bundle.payloads[1].salt] = [bundle.payloads[1].salt, bundle.payloads[0].salt] }))).toEqual(['commitment'])
    expect(codes(changed(whole, (bundle) => { bundle.entries.splice(3, 1) }))).toEqual(expect.arrayContaining(['root', 'seq']))
    const edited = verifyBundle(changed(whole, (bundle) => {
      const entry = JSON.parse(Buffer.from(bundle.entries[4].entry, 'base64').toString()) as { facts: { [name: string]: unknown } }
      entry.facts['model_id'] = 'another'
      bundle.entries[4].entry = toBase64(utf8(canonicalJson(entry as never)))
    }), { key }).verdict
    expect(edited.properties.unchanged).toMatchObject({ status: 'failed', first_bad_index: at(4) })
    expect(edited.properties.complete.status).toBe('unknown')
  })

  test('when parts of two bundles are swapped', async () => {
    const [one, two] = [parseBundle(whole), parseBundle((await exported(log, { session_id: sessions[1]!, disclose: 'all' })).json)]
    for (const field of ['session_id', 'entries', 'proof', 'payloads'] as const) expect(verifyBundle(formatBundle({ ...one, [field]: two[field] }), { key }).verdict.whole, field).toBe(false)
    const where = place(join(folder.folder, 'other'))
    const { sessions: [session_id] } = await smallLog(where)
    const foreign = parseBundle((await exported(where, { session_id: session_id!, disclose: 'all' })).json)
    for (const field of ['origin', 'checkpoint', 'keys', 'entries', 'proof', 'payloads', 'session_id'] as const) expect(verifyBundle(formatBundle({ ...one, [field]: foreign[field] }), { key }).verdict.whole, field).toBe(false)
    expect(codes(formatBundle(foreign))).toContain('key')
  })

  test('when another key signs everything anew: unpinned without a key, failed under the right one', () => {
    const bundle = parseBundle(whole)
    const mallory = testSigner(bundle.origin, 3)
    const forged = resigned(bundle, mallory, (entry) => { if (entry.event_type === 'reasoning') entry.facts = { ...entry.facts, kind: 'author_stated' } })
    expect(verifyBundle(forged).verdict).toMatchObject({ whole: true, properties: { pinned: { status: 'unknown', says: expect.stringContaining('unpinned') } } })
    expect(verifyBundle(forged, { key }).verdict).toMatchObject({ whole: false, properties: { pinned: { status: 'failed' } } })
  })

  test('or shown, when the tail of the session is cut off, even by who holds the key of its proof', () => {
    const bundle = parseBundle(whole)
    expect(codes(formatBundle({ ...bundle, entries: bundle.entries.slice(0, -1) }))).toContain('root')
    const signer = testSigner(bundle.origin, 3)
    const cut = verifyBundle(resigned({ ...bundle, entries: bundle.entries.slice(0, -1) }, signer), { key: signer.vkey }).verdict
    expect(cut).toMatchObject({ whole: true, properties: { complete: { status: 'unknown', says: expect.stringContaining('no end here') } } })
  })

  test('when a cosignature is false; one of a witness that is not pinned proves nothing', () => {
    const bundle = parseBundle(whole)
    const witness = testSigner('witness.example/w1', 5, 4)
    const cosigned = { ...bundle, checkpoint: addSignature(bundle.checkpoint, cosignatureSigner(witness.signer, 1_795_000_000)), keys: [...bundle.keys, witness.vkey] }
    const json = formatBundle(cosigned)
    expect(verifyBundle(json, { key }).verdict.properties.witnessed.status).toBe('unknown')
    expect(verifyBundle(json, { key, witnesses: [witness.vkey] }).verdict.properties.witnessed).toMatchObject({ status: 'proved', says: expect.stringContaining('witness.example/w1') })
    expect(codes(formatBundle({ ...cosigned, checkpoint: addSignature(bundle.checkpoint, cosignatureSigner({ ...witness.signer, sign: () => new Uint8Array(64) }, 1_795_000_000)) }))).toEqual(['checkpoint'])
    expect(codes(formatBundle({ ...cosigned, keys: bundle.keys }))).toEqual(['checkpoint'])
  })
})

test('10,000 events with 10 payloads disclosed', async () => {
  const where = place(join(folder.folder, 'large'))
  const ledger = await openLog(where)
  const tell = new Telling()
  await appendAll(ledger, [tell.draft('session_start', { agent_id: 'long' }, { user_message: text('begin') })])
  for (let from = 0; from < 10_000; from += 1_000) await appendAll(ledger, Array.from({ length: 1_000 }, (_, i) => tell.draft('tool_call', { tool_name: 'look', risk: 'low' }, { tool_input: text(`input ${from + i}`) })))
  await appendAll(ledger, [tell.draft('session_end', { reason: 'done' }, {}, { outcome: 'success' })])
  await ledger.close()
  const { json } = await exported(where, { session_id: tell.session_id, disclose: Array.from({ length: 10 }, (_, i) => ({ index: 10 + 900 * i })) })
  const started = performance.now()
  const { verdict } = verifyBundle(json, { key: openKeyring(originAt(where), where.home).vkey })
  console.log(`bundle: ${verdict.counts.entries} entries, ${verdict.counts.payloads} payloads, ${parseBundle(json).proof.length} hashes of proof, ${(json.length / 1e6).toFixed(1)} MB: verified in ${(performance.now() - started).toFixed(0)} ms`)
  expect(verdict).toMatchObject({ whole: true, counts: { entries: 10_002, payloads: 10, withheld: 9_991 } })
  expect(parseBundle(json).proof.length).toBeLessThan(32)
}, 120_000)

/** The bundle as its own log, with everything counted, chained and signed by `by`. */
function resigned(bundle: Bundle, by: ReturnType<typeof testSigner>, edit: (entry: { -readonly [name in keyof Entry]: Entry[name] }) => void = () => undefined): string {
  let prev = firstPrev(bundle.origin, bundle.session_id)
  const renamed = new Map<unknown, string>()
  const entries = bundle.entries.map(({ entry: before }, index) => {
    const entry = JSON.parse(new TextDecoder().decode(fromBase64(before))) as { -readonly [name in keyof Entry]: Entry[name] }
    edit(entry)
    const request = renamed.get(entry.facts['request'])
    const bytes = utf8(canonicalJson({ ...entry, index, prev, facts: { ...entry.facts, ...(request === undefined ? {} : { request }) } } as never))
    prev = toBase64(leafHash(bytes))
    renamed.set(toBase64(leafHash(fromBase64(before))), prev)
    return { index, entry: toBase64(bytes) }
  })
  const first = bundle.entries[0]!.index
  const places = new Set(bundle.entries.map(({ index }) => index))
  const root = treeRoot(entries.map(({ entry }) => leafHash(fromBase64(entry))))
  return formatBundle({
    ...bundle, entries, proof: [], keys: [by.vkey], checkpoint: signCheckpoint({ origin: bundle.origin, size: entries.length, root }, [by.signer]),
    payloads: bundle.payloads.filter(({ index }) => places.has(index)).map((payload) => ({ ...payload, index: payload.index - first })),
  })
}
