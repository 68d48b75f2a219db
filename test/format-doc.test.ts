// docs/format.md says what the code does: its tables are the vocabulary and the faults of the sources, its example is a log that this
// library accepts, and that a verifier written from the page alone, with nothing but node:crypto, accepts too.

import { createDecipheriv, createHash, createHmac, createPublicKey, hkdfSync, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { fromHex, toHex, utf8 } from '../src/base/bytes.ts'
import { parseEntry } from '../src/event/parse.ts'
import { ownRefs, type Entry } from '../src/event/entry.ts'
import { VOCABULARY } from '../src/event/vocabulary.ts'
import { parseSigningKey } from '../src/vault/key-text.ts'
import { unwrapSecret } from '../src/vault/scope.ts'
import { openSegment, readPayload } from '../src/vault/segment.ts'
import { archiveEvidence } from '../src/archive/evidence.ts'
import { verifyBundle } from '../src/verify/bundle.ts'
import type { Evidence } from '../src/verify/evidence.ts'
import type { Verdict } from '../src/verify/verdict.ts'
import { verifyLog } from '../src/verify/verify.ts'
import vectors from './vectors/format-v1.json' with { type: 'json' }
import { makeVectors } from './vectors/format-v1.ts'

const source = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const page = source('docs/format.md')

/** The rows of the tables between two headings, as cells. */
function rowsBetween(from: RegExp, to: RegExp): string[][] {
  const rest = page.slice(page.search(from)).replace(/^.*\n/, '')
  const end = rest.search(to)
  const part = end === -1 ? rest : rest.slice(0, end)
  return [...part.matchAll(/^\s*\|(.*)\|$/gm)].map(([, row]) => row!.split('|').map((cell) => cell.trim())).filter(([first]) => !/^-+$/.test(first!) && first !== 'name' && first !== 'code')
}

describe('the vocabulary of docs/format.md', () => {
  const said = (form: string): string => {
    const optional = form.endsWith(', optional') ? '?' : ''
    const bare = form.replace(/, optional$/, '')
    return (bare.startsWith('one of ') ? `=${[...bare.matchAll(/`([^`]+)`/g)].map(([, name]) => name).join('|')}` : bare) + optional
  }
  const written = [...page.matchAll(/^#### `([a-z_]+)`$/gm)].map(([, type]) => type!)

  test('has every type, in order', () => expect(written).toEqual(Object.keys(VOCABULARY)))

  test.each(Object.entries(VOCABULARY))('says what the code says of %s', (type, { facts, payloads }) => {
    const rows = rowsBetween(new RegExp(`^#### \`${type}\`$`, 'm'), /^##/m).map(([name, form]) => [name!.replaceAll('`', ''), form!] as const)
    expect(Object.fromEntries(rows.filter(([, form]) => !form.startsWith('→')).map(([name, form]) => [name, said(form)]))).toEqual(facts)
    expect(Object.fromEntries(rows.filter(([, form]) => form.startsWith('→')).map(([name, form]) => [name, form.slice(2)]))).toEqual(payloads)
  })
})

describe('the failures of docs/format.md', () => {
  const verifier = ['verify', 'part', 'session-check'].map((name) => source(`src/verify/${name}.ts`)).join('')
  const evidence = source('src/ledger/evidence.ts') + source('src/ledger/vault-evidence.ts') + source('src/archive/evidence.ts') + source('src/verify/rollback.ts')

  test('are those that the code can find', () => {
    const named = rowsBetween(/^## 10/m, /^## 11/m).flatMap(([first]) => (first!.startsWith('`') ? [first!.replaceAll('`', '')] : []))
    const found = new Set([
      ...[...verifier.matchAll(/(?:#bad|\bproblem)\('[a-z_]+', '([a-z_]+)'/g)].map(([, code]) => code!),
      ...[...verifier.matchAll(/#bad\(property, '([a-z_]+)'/g)].map(([, code]) => code!),
      ...[...evidence.matchAll(/(?:code: |\bbad\()'([a-z_]+)'/g)].map(([, code]) => code!),
    ])
    expect([...named].sort()).toEqual([...found].sort())
  })

  test('stand with the property that they fail', () => {
    const rows = new Map(rowsBetween(/^## 10/m, /^## 11/m).map(([code, property]) => [code!.replaceAll('`', ''), property!]))
    for (const [, property, code] of verifier.matchAll(/(?:#bad|\bproblem)\('([a-z_]+)', '([a-z_]+)'/g)) expect([code, rows.get(code!)], code).toEqual([code, expect.stringContaining(property!)])
  })
})

describe('the failures of a bundle, docs/format.md §14', () => {
  const bundle = source('src/verify/bundle.ts')
  const own = rowsBetween(/^### 14.4/m, /^### Example/m).flatMap(([code, property]) => property!.split(', ').map((one) => `${one} ${code!.replaceAll('`', '')}`))
  const shared = new Map(rowsBetween(/^## 10/m, /^## 11/m).map(([code, property]) => [code!.replaceAll('`', ''), property!]))

  test('are those that the code can find', () => {
    const found = [...bundle.matchAll(/#bad\('([a-z_]+)', '([a-z_]+)'/g)].map(([, property, code]) => `${property} ${code}`)
    expect(own.length).toBe(6)
    expect(own.filter((row) => !found.includes(row))).toEqual([])
    expect(found.filter((row) => !own.includes(row) && shared.get(row.split(' ')[1]!)?.includes(row.split(' ')[0]!) !== true)).toEqual([])
  })
})

describe('the example of docs/format.md', () => {
  const example = page.slice(page.search(/^## 12/m))
  const dense = example.replaceAll(/\s+/g, '')

  test('is what the code makes', () => expect(makeVectors()).toEqual(vectors))

  test('is on the page in every value', () => {
    const values: string[] = []
    const collect = (value: unknown): void => {
      if (typeof value === 'string' && value.length > 7) values.push(value)
      else if (typeof value === 'object' && value !== null) Object.values(value).forEach(collect)
    }
    collect({ ...vectors, own_refs: [] })
    collect(Object.keys(vectors.archive).slice(1))
    expect(values.length).toBeGreaterThan(60)
    expect(values.filter((value) => !dense.includes(value.replaceAll(/\s+/g, '')))).toEqual([])
  })

  test('has no value that is not in it', () => {
    const all = JSON.stringify(vectors).replaceAll(/\\n|\\(?=")|\s+/g, '')
    const lines = [...example.matchAll(/^ {4}(.*)$/gm)].flatMap(([, line]) => line!.split(/\s+/)).filter((word) => /^[A-Za-z0-9+/=]{16,}$/.test(word))
    expect(lines.length).toBeGreaterThan(60)
    expect(lines.filter((word) => !all.includes(word))).toEqual([])
  })

  test('is whole to this library', async () => {
    const verdict = await verifyLog(evidenceOf(vectors.entries.map(({ bytes }) => utf8(bytes))))
    expect(verdict.problems).toEqual([])
    expect([verdict.whole, verdict.counts.payloads, verdict.counts.ended, verdict.properties.payloads.status]).toEqual([true, 4, 1, 'proved'])
  })

  test('is not, when a character is changed', async () => {
    const changed = vectors.entries.map(({ bytes }, i) => utf8(i === 3 ? bytes.replace('"step_number":2', '"step_number":3') : bytes))
    expect((await verifyLog(evidenceOf(changed))).whole).toBe(false)
  })

  test('opens with its keys', () => {
    const { origin, scope } = vectors
    expect(parseSigningKey(vectors.log_key['log.key'], origin).verifier.publicKey).toEqual(fromHex(vectors.log_key.public_key))
    expect(unwrapSecret(fromHex(scope.wrapped), fromHex(scope.id), origin, () => fromHex(scope.kek))).toEqual(fromHex(scope.secret))
    for (const { text: content, segment, frame, place } of vectors.payloads) {
      const opened = openSegment(fromHex(vectors.segments[segment - 1]!.bytes), { origin, scope: fromHex(scope.id), secret: fromHex(scope.secret) })
      expect(toHex(readPayload(opened, { frame, position: place, frames: 1 }))).toBe(toHex(utf8(content)))
    }
  })

  test('is whole as an archive, and not when one of its files is changed', async () => {
    const { key, files } = archiveFiles()
    const verify = async (changed: ReadonlyMap<string, Uint8Array>): Promise<Verdict> => verifyLog(await archiveEvidence({ name: 'example', read: async (path) => changed.get(path), names: async () => [] }, key))
    expect((await verify(files)).problems).toEqual([])
    expect(files.size).toBe(6)
    for (const [path, bytes] of files) expect((await verify(new Map([...files, [path, bytes.map((byte, i) => (i === bytes.length - 6 ? byte ^ 1 : byte))]]))).whole, path).toBe(false)
  })

  test('is whole as a bundle, and shows what it discloses', () => {
    const { verdict, contents } = verifyBundle(vectors.bundle.text, { key: vectors.log_key['log.pub'].trimEnd() })
    expect([verdict.problems, verdict.counts.payloads, verdict.counts.withheld]).toEqual([[], 2, 2])
    expect(contents.flatMap((each) => ('bytes' in each ? [new TextDecoder().decode(each.bytes)] : []))).toEqual(['Be brief.', '{"role":"user","content":"Where is my refund?"}'])
    expect(verifyBundle(vectors.bundle.text.replace('Be brief.', 'Be broad.')).verdict.whole).toBe(false)
  })

  test('lists each entry\'s own refs in their order', () => {
    expect(vectors.entries.map(({ bytes }) => [...ownRefs(parseEntry(utf8(bytes)).entry)].map(({ slot, position }) => `${slot}/${position}`))).toEqual(vectors.own_refs)
  })
})

/** The files of the example's archive, and the log's key. */
function archiveFiles(): { readonly key: string; readonly files: Map<string, Uint8Array> } {
  const { archive, checkpoint, entries, segments, log_key } = vectors
  const bundle = Buffer.concat(entries.flatMap(({ bytes }) => [Buffer.of(bytes.length >> 8, bytes.length & 255), Buffer.from(bytes)]))
  const [, tile, entriesPath, list] = Object.keys(archive) as [string, 'tile/0/000.p/5', 'tile/entries/000.p/5', 'segment/list/000.p/5']
  return {
    key: log_key['log.pub'].trimEnd(),
    files: new Map<string, Uint8Array>([
      ['checkpoint', utf8(checkpoint.note)], [tile, fromHex(archive[tile])], [entriesPath, bundle], [list, utf8(archive[list])],
      ...segments.map(({ bytes }, i) => [archive.segments[i]!, fromHex(bytes)] as const),
    ]),
  }
}

/** The example as evidence, without a store. */
function evidenceOf(entries: readonly Uint8Array[]): Evidence {
  const { origin, checkpoint, scope, payloads, segments, log_key } = vectors
  return {
    origin, head: { note: checkpoint.note, size: vectors.entries.length }, vkey: { text: log_key['log.pub'].trimEnd(), pinned: true }, remembered: [],
    entries: async (from, to) => entries.slice(from, to).map((entry, i) => ({ index: from + i, entry })),
    next: async (from) => (from < entries.length ? from : undefined),
    extra: async () => [],
    vault: {
      opened: true,
      follow: async (page_: readonly Entry[]) => page_.map(({ index }) => payloads.filter(({ entry }) => entry === index).map(({ text, salt }) => ({ bytes: utf8(text), salt: fromHex(salt) }))),
      scopes: async () => new Set([`${scope.session_id}/${scope.k}`]),
      segmentHashes: async () => segments.map(({ sha256 }) => fromHex(sha256)),
      findings: async () => ({ faults: [], counts: {} }),
      faults: async () => [],
    },
  }
}

// ---- a verifier by the page alone ------------------------------------------------------------------------------------------------

const hash = (...parts: Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest()
const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const text = (value: string): Buffer => Buffer.from(value)
const hex = (value: string): Buffer => Buffer.from(value, 'hex')
const leaf = (bytes: Uint8Array): Buffer => hash(Buffer.of(0), bytes)

/** MTH of RFC 6962 §2.1, as it stands there. */
function root(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return hash()
  if (leaves.length === 1) return leaves[0]!
  let k = 1
  while (2 * k < leaves.length) k *= 2
  return hash(Buffer.of(1), root(leaves.slice(0, k)), root(leaves.slice(k)))
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical((value as { [name: string]: unknown })[name])}`).join(',')}}`
}

function hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, length))
}

function open(sealed: Buffer, headBytes: number, secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Buffer {
  const okm = hkdf(secret, salt, info, 44)
  const decipher = createDecipheriv('aes-256-gcm', okm.subarray(0, 32), okm.subarray(32)).setAAD(sealed.subarray(0, headBytes))
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(headBytes, -16)), decipher.final()])
}

interface Ref { c: string; m: string }
interface ParsedEntry { event_id: string; session_id: string; seq: number; prev: string; index: number; stream?: string; facts: object; payloads: { [name: string]: Ref | { same: number } | ListChange } }
interface ListChange { base?: number; keep?: number; add: Ref[]; count: number; root: string }

describe('a stranger with docs/format.md', () => {
  const { origin } = vectors
  const entries = vectors.entries.map(({ bytes }) => text(bytes))
  const parsed = entries.map((bytes) => JSON.parse(bytes.toString()) as ParsedEntry)

  test('§2: checks key, tree and checkpoint', () => {
    const publicKey = hex(vectors.log_key.public_key)
    const keyId = hash(text(origin), Buffer.of(0x0a, 1), publicKey).subarray(0, 4)
    expect(`${origin}+${keyId.toString('hex')}+${b64(Buffer.concat([Buffer.of(1), publicKey]))}\n`).toBe(vectors.log_key['log.pub'])
    const size = entries.length
    const signed = `${origin}\n${size}\n${b64(root(entries.map(leaf)))}\n`
    const [body, line] = vectors.checkpoint.note.split('\n\n')
    expect(`${body}\n`).toBe(signed)
    const signature = Buffer.from(line!.trimEnd().split(' ')[2]!, 'base64')
    expect(signature.subarray(0, 4)).toEqual(keyId)
    const key = createPublicKey({ key: Buffer.concat([hex('302a300506032b6570032100'), publicKey]), format: 'der', type: 'spki' })
    expect(verify(null, text(signed), key, signature.subarray(4))).toBe(true)
  })

  test('§3, §5: checks entries, seq, prev and lists', () => {
    const next = new Map<string, { seq: number; prev: string }>()
    const lists = new Map<string, string[]>()
    for (const [i, entry] of parsed.entries()) {
      expect(canonical(entry)).toBe(entries[i]!.toString())
      const first = hash(text('counterfoil/session/v1'), Buffer.of(0), text(origin), Buffer.of(0), hex(entry.session_id.replaceAll('-', '')))
      const at = next.get(entry.session_id) ?? { seq: 0, prev: b64(first) }
      expect([entry.index, entry.seq, entry.prev]).toEqual([i, at.seq, at.prev])
      next.set(entry.session_id, { seq: at.seq + 1, prev: b64(leaf(entries[i]!)) })
      for (const [name, slot] of Object.entries(entry.payloads)) {
        if (!('add' in slot)) continue
        const all = [...(slot.base === undefined ? [] : lists.get(`${entry.session_id}/${slot.base}/${name}`)!.slice(0, slot.keep)), ...slot.add.map(({ c }) => c)]
        lists.set(`${entry.session_id}/${entry.seq}/${name}`, all)
        expect([slot.count, slot.root]).toEqual([all.length, b64(root(all.map((c) => leaf(Buffer.from(c, 'base64')))))])
      }
    }
    const end = parsed.at(-1)!.facts as { streams: object; segment_count: number; segment_root: string }
    expect(end.streams).toEqual({ [parsed.at(-1)!.stream!]: 3 })
    expect(end.segment_root).toBe(b64(root(vectors.segments.map(({ bytes }) => leaf(hash(hex(bytes)))))))
  })

  test('§13: finds its files', () => {
    const { archive, checkpoint, segments, scope } = vectors
    expect(hash(text(checkpoint.note)).toString('hex')).toBe(archive.checkpoint)
    expect(Buffer.concat(entries.map(leaf)).toString('hex')).toBe(archive['tile/0/000.p/5'])
    const bundle = Buffer.concat(entries.flatMap((bytes) => [Buffer.of(bytes.length >> 8, bytes.length & 255), bytes]))
    expect({ length: bundle.length, sha256: hash(bundle).toString('hex') }).toEqual(archive['tile/entries/000.p/5'])
    expect(segments.map(({ bytes }, i) => `${i + 1} ${scope.session_id}/${scope.k} ${b64(hash(hex(bytes)))}\n`).join('')).toBe(archive['segment/list/000.p/5'])
  })

  test('§14: recomputes its bundle', () => {
    const { bundle, checkpoint, log_key, payloads } = vectors
    const document = {
      format: 'counterfoil/bundle/v1', origin, session_id: parsed[1]!.session_id, checkpoint: checkpoint.note, keys: [log_key['log.pub'].trimEnd()],
      entries: [1, 2, 3, 4].map((index) => ({ entry: b64(entries[index]!), index })), proof: [b64(leaf(entries[0]!))],
      payloads: payloads.map(({ entry: index, slot, position, media, salt, text: content }, i) => (i === 1 || i === 2 ? { index, slot, position, media, salt: b64(hex(salt)), text: content } : { index, slot, position, media, withheld: true })),
    }
    expect(canonical(document).replaceAll('<', '\\u003c')).toBe(bundle.text)
    expect(hash(text(bundle.text)).toString('hex')).toBe(bundle.sha256)
    const [e1, e2, e3, e4] = entries.slice(1).map(leaf)
    const node = (left: Buffer, right: Buffer): Buffer => hash(Buffer.of(1), left, right)
    expect(b64(node(node(node(Buffer.from(document.proof[0]!, 'base64'), e1!), node(e2!, e3!)), e4!))).toBe(checkpoint.text.split('\n')[2])
  })

  test('§6: opens secret and segments, and checks each commitment', () => {
    const { scope } = vectors
    const nul = Buffer.of(0)
    const wrapped = hex(scope.wrapped)
    expect(wrapped.length).toBe(105)
    const secret = open(wrapped, 57, hex(scope.kek), wrapped.subarray(25, 57), Buffer.concat([text('counterfoil/wrap/v1'), nul, text(origin), nul, wrapped.subarray(5, 21)]))
    const [saltKey, indexKey] = (['salt', 'index'] as const).map((use) => hkdf(secret, Buffer.alloc(0), Buffer.concat([text(`counterfoil/${use}/v1`), nul, text(origin)]), 32))
    for (const { entry, slot, position, commitment, content_key, segment, frame, place } of vectors.payloads) {
      const sealed = hex(vectors.segments[segment - 1]!.bytes)
      expect(sealed.subarray(5, 21)).toEqual(wrapped.subarray(5, 21))
      const content = framesOf(open(sealed, 57, secret, sealed.subarray(21, 53), Buffer.concat([text('counterfoil/segment/v1'), nul, text(origin)])))[frame]![place]!
      const digest = hash(content)
      const position32 = Buffer.alloc(4)
      position32.writeUInt32BE(position)
      const salt = createHmac('sha256', saltKey!).update(Buffer.concat([hex(parsed[entry]!.event_id.replaceAll('-', '')), Buffer.of(slot.length), text(slot), position32, digest])).digest()
      expect(b64(hash(text('counterfoil/payload/v1'), nul, salt, digest))).toBe(commitment)
      expect(createHmac('sha256', indexKey!).update(digest).digest('hex')).toBe(content_key)
      const named = parsed[entry]!.payloads[slot]!
      expect('add' in named ? named.add[position]!.c : (named as Ref).c).toBe(commitment)
    }
  })
})

/** The payloads of each frame of a segment's plaintext; the example has none that is compressed or cut. */
function framesOf(plaintext: Buffer): Buffer[][] {
  const frames: Buffer[][] = []
  for (let at = 0; plaintext.subarray(at).some((byte) => byte !== 0); ) {
    const [codec, stored, n] = [plaintext[at], plaintext.readUInt32BE(at + 1), plaintext.readUInt16BE(at + 9)]
    expect(codec).toBe(0)
    let offset = at + 11 + 4 * n
    const payloads: Buffer[] = []
    for (let i = 0; i < n; i++) payloads.push(plaintext.subarray(offset, (offset += plaintext.readUInt32BE(at + 11 + 4 * i))))
    frames.push(payloads)
    at += 11 + 4 * n + stored
  }
  return frames
}
