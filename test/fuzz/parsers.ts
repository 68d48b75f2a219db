// The parsers of what strangers may have written, each with right inputs from our own writers. A new one gets a row here; test/parsers.test.ts
// fails for an export that looks like a parser and stands neither here nor among the exempt.

import { createCipheriv } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { archiveEvidence } from '../../src/archive/evidence.ts'
import { archiveFolder, writableFolder } from '../../src/archive/folder.ts'
import type { ArchiveFiles } from '../../src/archive/files.ts'
import { formatList, parseList } from '../../src/archive/layout.ts'
import { writeArchive } from '../../src/archive/write.ts'
import { concat, fromBase64, fromHex, fromUtf8, toBase64, toHex, u32be, utf8 } from '../../src/base/bytes.ts'
import { canonicalJson, parseCanonicalJson, parseStrictJson, type CanonicalValue } from '../../src/base/canonical-json.ts'
import { parseShallowJson } from '../../src/base/shallow-json.ts'
import { MisuseError } from '../../src/base/errors.ts'
import { parseUuid, formatUuid } from '../../src/base/ids.ts'
import { readOffset } from '../../src/client/offset.ts'
import { parseJson as parseBody } from '../../src/server/body.ts'
import { decodeCursor, encodeCursor } from '../../src/server/page.ts'
import { OtlpIntake, type Encoding, type Signal } from '../../src/capture/otlp/intake.ts'
import { archiveSource } from '../../src/cli/archive-source.ts'
import { parseDisclose } from '../../src/cli/commands/export.ts'
import { parseLimit } from '../../src/cli/commands/sessions.ts'
import { findEvent, findSession } from '../../src/cli/find.ts'
import { fitted } from '../../src/cli/fitted.ts'
import { openLocalTrail } from '../../src/cli/local-trail.ts'
import { parseMoment } from '../../src/cli/moment.ts'
import { decodeDraft, encodeDraft } from '../../src/event/draft.ts'
import * as fixtures from '../../src/event/fixtures.ts'
import { ListIndex } from '../../src/event/list.ts'
import { applyMasks, defaultMasks } from '../../src/event/mask.ts'
import { checkDraft, encodeEntry, parseEntry, parseEntryText } from '../../src/event/parse.ts'
import { Absent } from '../../src/event/view.ts'
import { formatView, parseView } from '../../src/event/view-json.ts'
import { decodeSession, encodeSession, foldSession, type SessionState } from '../../src/event/session.ts'
import { formatManifest, parseManifest } from '../../src/ledger/backup-manifest.ts'
import { exportBundle } from '../../src/ledger/bundle.ts'
import { LogReader } from '../../src/ledger/reader.ts'
import { readManifest } from '../../src/ledger/restore.ts'
import { formatRestored, restoredBy } from '../../src/ledger/restored.ts'
import { formatTreeHead, openCheckpoint, parseDecimal, parseHash, parseTreeHead, readTreeHead, signCheckpoint } from '../../src/log/checkpoint.ts'
import { cosignatureSigner, cosignatureVerifier, formatCosignature, parseCosignature } from '../../src/log/cosignature.ts'
import { emptyRoot, leafHash } from '../../src/log/hash.ts'
import { addSignature, COSIGNATURE_ED25519, ed25519Verifier, formatNote, formatSignerKey, formatVerifierKey, openNote, parseNote, parseSignerKey, parseVerifierKey, signNote, ED25519 } from '../../src/log/note.ts'
import { evaluatePolicy, openUnderPolicy, parsePolicy } from '../../src/log/policy.ts'
import { formatProof, openProof, parseProof } from '../../src/log/proof.ts'
import { decodeBundle, encodeBundle, formatTilePath, joinHashes, parseTilePath, splitHashes } from '../../src/log/tile.ts'
import { contentText } from '../../src/page/content.ts'
import { encodeHeader, parseHeader, recordKey, sealRecord, OVERHEAD_BYTES } from '../../src/spool/record.ts'
import { readSpool, spoolOwner } from '../../src/spool/reader.ts'
import { Connection } from '../../src/store/connection.ts'
import { HEAD, rowsOf, SEGMENT, SESSION } from '../../src/store/row.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { deriveSealing } from '../../src/vault/derive.ts'
import { formatSecretKey, formatSigningKey, parseSecretKey, parseSigningKey } from '../../src/vault/key-text.ts'
import { newScope, parseWrapped, unwrapSecret, wrapSecret } from '../../src/vault/scope.ts'
import { openSegment, paddedLength, parseSegmentHeader, placesOf, readFrame, readPayload, sealSegment } from '../../src/vault/segment.ts'
import { bundleBlock, bundleIn, formatBundle, parseBundle, type Bundle } from '../../src/verify/bundle-text.ts'
import { verifyBundle } from '../../src/verify/bundle.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { why } from '../../src/why/why.ts'
import { linesOf } from '../../src/why/format.ts'
import { leavesOf } from '../../src/why/leaves.ts'
import { readMessage, readOutput, readRequest as readToolRequest } from '../../src/why/message.ts'
import { modelEndpoint, readRequest, ResponseReader } from '../../src/wire/anthropic.ts'
import { cutObject, joinMembers, parseJson } from '../../src/wire/json-slices.ts'
import { SseParser } from '../../src/wire/sse.ts'
import { submitCheckpoint } from '../../src/witness/client.ts'
import { newWitnessKey, parseWitnessKey } from '../../src/witness/key.ts'
import { formatAddCheckpoint, parseAddCheckpoint } from '../../src/witness/request.ts'
import { createWitnessKey, readWitnessKey, WitnessState } from '../../src/witness/state.ts'
import { Witness } from '../../src/witness/witness.ts'
import { logsBytes, logsJson, spanId, tracesBytes, tracesJson, type TestLog, type TestSpan } from '../otlp-export.ts'
import { originAt, openKeyring, place, smallLog, type Place } from '../sample-log.ts'
import { testSigner } from '../signer.ts'
import { NOW_MS, testLog } from '../witness-server.ts'
import { textOf } from './mutate.ts'
import { expectThat, same, untyped, type Parser } from './parser.ts'

const ORIGIN = 'counterfoil.example/fuzz'
const { signer, vkey } = testSigner(ORIGIN, 7)
const witnessKey = testSigner('witness.example/w1', 8, COSIGNATURE_ED25519)
const verifiers = [ed25519Verifier(vkey)]
const cosigners = [cosignatureVerifier(witnessKey.vkey)]
const root = leafHash(utf8('root'))
const head = { origin: ORIGIN, size: 4711, root }
const checkpoint = signCheckpoint(head, [signer])
const cosigned = addSignature(checkpoint, cosignatureSigner(witnessKey.signer, 1_700_000_000))
const texts = (...all: readonly string[]): Uint8Array[] => all.map(utf8)
const write = (value: unknown): string => JSON.stringify(value)
/** Trees that canonical JSON cannot say are left to what changes bytes. */
const canonical = (value: unknown): string => canonicalJson(value as CanonicalValue)

const note: Parser = {
  covers: ['log/note.ts parseNote', 'log/note.ts openNote'],
  make: () => ({
    seeds: texts(checkpoint, cosigned, signNote('a\n\nb — c\n', [signer]), addSignature(cosigned, testSigner('other.example', 9).signer)),
    run: (bytes) => {
      same(formatNote(parseNote(bytes)), fromUtf8(bytes), 'note')
      parseNote(textOf(bytes))
      attempt(() => openNote(bytes, verifiers))
    },
  }),
}

/** The text changed and signed again, so that what opens it is reached. */
const signedCheckpoint: Parser = {
  covers: ['log/checkpoint.ts openCheckpoint', 'log/checkpoint.ts parseTreeHead', 'log/checkpoint.ts readTreeHead', 'log/checkpoint.ts parseDecimal', 'log/checkpoint.ts parseHash', 'log/policy.ts openUnderPolicy'],
  make: () => ({
    seeds: texts(formatTreeHead(head), formatTreeHead({ ...head, size: 0, root: emptyRoot() }), formatTreeHead({ ...head, extensions: ['more', 'and more'] })),
    run: (bytes) => {
      const text = textOf(bytes)
      for (const line of text.split('\n').slice(0, 5)) {
        const [decimal, hash] = [parseDecimal(line), parseHash(line)]
        if (decimal !== undefined) same(String(decimal), line, 'decimal')
        if (hash !== undefined) same(toBase64(hash), line, 'hash')
      }
      same(formatTreeHead(readTreeHead(text)), text, 'tree head')
      const signed = signNote(text, [signer])
      const opened = openCheckpoint(signed, verifiers)
      same(formatTreeHead(opened), formatTreeHead(parseTreeHead(text)), 'checkpoint')
      openUnderPolicy(parsePolicy(`log ${vkey}\nquorum none\n`), signed)
    },
    refuses: /^log: expected/,
  }),
}

const cosignature: Parser = {
  covers: ['log/cosignature.ts parseCosignature'],
  make: () => ({
    seeds: [formatCosignature(1_700_000_000, new Uint8Array(64).fill(5)), formatCosignature(0, new Uint8Array(64))],
    run: (bytes) => {
      const parsed = parseCosignature(bytes)
      if (parsed !== undefined) same(formatCosignature(parsed.time, parsed.signature), bytes, 'cosignature')
      cosigners[0]!.verify(utf8('text\n'), bytes)
    },
    takesAll: true,
  }),
}

const keyTexts: Parser = {
  covers: ['log/note.ts parseVerifierKey', 'log/note.ts parseSignerKey', 'vault/key-text.ts parseSigningKey', 'vault/key-text.ts parseSecretKey', 'vault/key-text.ts readKeyText', 'witness/key.ts parseWitnessKey', 'witness/state.ts readWitnessKey'],
  make: () => {
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-fuzz-'))
    const seed = new Uint8Array(32).fill(3)
    return {
      seeds: texts(vkey, witnessKey.vkey, formatSignerKey({ name: ORIGIN, keyId: signer.keyId, type: ED25519, seed: new Uint8Array(32).fill(7) }), formatSigningKey(ORIGIN, seed).secret, formatSecretKey('spool', ORIGIN, seed), newWitnessKey('witness.example/w1', seed)),
      run: (bytes) => {
        const text = textOf(bytes)
        const readers: (() => void)[] = [
          () => same(formatVerifierKey(parseVerifierKey(text)), text, 'vkey'),
          () => same(formatSignerKey(parseSignerKey(text)), text, 'skey'),
          () => void ed25519Verifier(text),
          () => void cosignatureVerifier(text),
          () => void parseSigningKey(text, ORIGIN),
          () => same(formatSecretKey('spool', ORIGIN, parseSecretKey(text, 'spool', ORIGIN)), text.endsWith('\n') ? text : `${text}\n`, 'secret key'),
          () => void parseWitnessKey(text, 'witness.key'),
          () => {
            writeFileSync(join(folder, 'witness.key'), bytes, { mode: 0o600 })
            readWitnessKey(folder)
          },
        ]
        allOf(readers)
      },
      refuses: /^(?:expected|the key does not match|base: )/,
      close: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

/** A further step, of which a refusal of ours is no refusal of the input. */
function attempt(step: () => unknown): void {
  try {
    step()
  } catch (error) {
    if (untyped(error, {}) !== undefined) throw error
  }
}

/** Runs all, and throws what the last one to fail threw: an input is for one of them, and must do no harm in the others. */
function allOf(readers: readonly (() => void)[]): void {
  const errors: unknown[] = []
  for (const reader of readers) {
    try {
      reader()
    } catch (error) {
      errors.push(error)
    }
  }
  // what is not documented first
  const odd = errors.find((error) => !(error instanceof Error) || !('code' in error))
  if (errors.length === readers.length || (odd !== undefined && !(odd instanceof TypeError && /^(?:expected|the key does not match|base: )/.test(odd.message)))) throw odd ?? errors[0]
}

const proof: Parser = {
  covers: ['log/proof.ts parseProof', 'log/proof.ts openProof'],
  make: () => {
    const leaves = Array.from({ length: 5 }, (_, i) => leafHash(utf8(`${i}`)))
    const signed = signCheckpoint({ origin: ORIGIN, size: 1, root: leaves[0]! }, [signer])
    return {
      seeds: texts(formatProof({ index: 0, proof: [], checkpoint: signed }), formatProof({ index: 3, proof: leaves, checkpoint: cosigned, extra: utf8('extra') })),
      run: (bytes) => {
        same(formatProof(parseProof(bytes)), fromUtf8(bytes), 'proof')
        parseProof(textOf(bytes))
        attempt(() => openProof(bytes, { leafHash: leaves[0]!, verifiers, cosigners }))
      },
    }
  },
}

const tilePath: Parser = {
  covers: ['log/tile.ts parseTilePath'],
  make: () => ({
    seeds: texts('tile/0/x001/x234/067', 'tile/entries/000.p/255', 'tile/63/x009/x007/x199/x254/x740/991', 'tile/5/005.p/1'),
    run: (bytes) => {
      const path = textOf(bytes)
      same(formatTilePath(parseTilePath(path)), path, 'tile path')
    },
  }),
}

const tiles: Parser = {
  covers: ['log/tile.ts decodeBundle', 'log/tile.ts splitHashes'],
  make: () => ({
    seeds: [encodeBundle([utf8('one'), utf8(''), utf8('three')]), encodeBundle(Array.from({ length: 256 }, (_, i) => new Uint8Array(i))), joinHashes(Array.from({ length: 17 }, (_, i) => leafHash(utf8(`${i}`))))],
    run: (bytes) => {
      if (bytes.length % 32 === 0) same(joinHashes(splitHashes(bytes)), bytes, 'hashes')
      // the first byte says how many are expected, so that the mutation chooses it too
      const width = 1 + (bytes[bytes.length - 1] ?? 0)
      for (const count of [width, 3, 256]) {
        try {
          same(encodeBundle(decodeBundle(bytes, count)), bytes, 'entry bundle')
        } catch (error) {
          if (count === 256) throw error
          if (!(error instanceof Error) || !('code' in error)) throw error
        }
      }
    },
    refuses: /^log: expected/,
  }),
}

const policy: Parser = {
  covers: ['log/policy.ts parsePolicy', 'cli/commands/witness.ts readPolicy'],
  make: () => {
    const names = Array.from({ length: 6 }, (_, i) => `w${i}`)
    const lines = names.map((name, i) => `witness ${name} ${testSigner(`${name}.example`, i + 1, COSIGNATURE_ED25519).vkey} https://${name}.example/\n`).join('')
    return {
      seeds: texts(`log ${vkey} https://log.example\n${lines}group a 2 w0 w1 w2\ngroup b any w3\ngroup c all a b\nquorum c\n`, `# comment\n#! organisation one w0 w1\n#! organisation two w2\n#! organisations 2\n${lines}quorum w5\n`, 'quorum none\n'),
      run: (bytes) => {
        const parsed = parsePolicy(textOf(bytes))
        const all = parsed.witnesses.map(({ verifier }) => ({ name: verifier.name, keyId: verifier.keyId, time: 1 }))
        const full = evaluatePolicy(parsed, all)
        expectThat(full.quorum && full.organisations >= parsed.minOrganisations, 'every witness cosigned, and the policy is not satisfied')
        const none = evaluatePolicy(parsed, [])
        expectThat(none.quorum === (parsed.quorum === 'none') && none.witnesses.length === 0, 'nobody cosigned, and the quorum is reached')
      },
    }
  },
}

const addCheckpoint: Parser = {
  covers: ['witness/request.ts parseAddCheckpoint'],
  make: () => ({
    seeds: [formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint }), formatAddCheckpoint({ oldSize: 4700, proof: Array.from({ length: 9 }, (_, i) => leafHash(utf8(`${i}`))), checkpoint: cosigned })],
    run: (bytes) => same(formatAddCheckpoint(parseAddCheckpoint(bytes)), bytes, 'add-checkpoint'),
  }),
}

/** A witness on a disk that remembers size 5; the checkpoint in the request is signed again where it can be, so that proofs are reached. */
const witness: Parser = {
  covers: [],
  make: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-fuzz-'))
    const key = createWitnessKey(folder, 'witness.example/w1')
    const state = WitnessState.open(folder)
    const log = testLog({ origin: ORIGIN, seed: 7 })
    const asked = new Witness(state, key, [log.vkey], () => NOW_MS)
    expectThat(asked.addCheckpoint(await log.request(0, 5)).status === 200, 'the witness refuses its first checkpoint')
    const before = asked.checkpoint(ORIGIN)
    const honest = [5, 9, 12].map((size) => toBase64(log.root(size)))
    return {
      seeds: [await log.request(5, 9), await log.request(5, 12), await log.request(5, 5), await log.request(0, 9), await log.request(6, 9)],
      run: (bytes) => {
        const answer = asked.addCheckpoint(resigned(bytes))
        expectThat([200, 400, 403, 404, 409, 422].includes(answer.status), 'an answer that the protocol does not know')
        if (answer.status !== 200) return expectThat(asked.checkpoint(ORIGIN) === before, 'refused, and remembered all the same')
        state.write(ORIGIN, before!)
        // a size that stands beside the right root is the log's own word: a proof of the same form fits several
        expectThat(honest.includes(toBase64(answer.head.root)), `cosigned size ${answer.head.size} with a root that the log never had`)
      },
      close: () => {
        state.close()
        rmSync(folder, { recursive: true, force: true })
      },
    }
  },
}

/** The request with its checkpoint signed by the log. */
function resigned(bytes: Uint8Array): Uint8Array {
  try {
    const request = parseAddCheckpoint(bytes)
    return formatAddCheckpoint({ ...request, checkpoint: signNote(parseNote(request.checkpoint).text, [signer]) })
  } catch {
    return bytes
  }
}

/** What a witness answers, over real HTTP. The first line of an input is the status. */
const witnessAnswer: Parser = {
  covers: [],
  make: async () => {
    const log = testLog({ origin: ORIGIN, seed: 7 })
    const current = log.checkpoint(9)
    const signature = addSignature(current, cosignatureSigner(witnessKey.signer, 1_700_000_000)).split('\n').at(-2)!
    let answer = { status: 500, body: new Uint8Array() as Uint8Array }
    const server = createServer((request, response) => {
      request.resume()
      request.on('end', () => response.writeHead(answer.status, { 'content-length': answer.body.length }).end(answer.body))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    return {
      seeds: texts(`200\n${signature}\n`, '409\n9\n', '409\n5\n', '404\n', '403\nno\n', '422\nno\n', '429\n', '500\nx\n'),
      run: async (bytes) => {
        const end = bytes.indexOf(0x0a)
        const status = Number(textOf(bytes.subarray(0, Math.max(0, end))))
        answer = { status: Number.isInteger(status) && status >= 200 && status < 600 && status !== 204 && status !== 304 ? status : 200, body: bytes.subarray(end + 1) }
        const cosignatures = await submitCheckpoint({ url, cosigners, checkpoint: current, verifiers: [ed25519Verifier(log.vkey)], reader: log.reader, timeoutMs: 5_000 })
        expectThat(cosignatures.length > 0 && cosignatures.every(({ name }) => name === 'witness.example/w1'), 'a cosignature of nobody')
      },
      close: () => server.close(),
    }
  },
}

const listFile: Parser = {
  covers: ['archive/layout.ts parseList'],
  make: () => ({
    seeds: [formatList([{ segment: 0, scope: `${fixtures.SESSION}/0`, hash: root }, { segment: 17, scope: `${fixtures.SESSION}/65535`, hash: root }]), formatList([])],
    run: (bytes) => same(formatList(parseList(bytes)), bytes, 'segment list'),
  }),
}

/** Lines `<hex of a path's index> ` do not exist here: the input replaces one file of a small archive, named by its first byte. */
const archive: Parser = {
  covers: [],
  make: async () => {
    const { where, remove } = await sampleLog()
    const folder = join(where.folder, 'archive')
    const store = await openSqliteStore(where.db, { readOnly: true })
    await store.read(async (view) => writeArchive(await writableFolder(folder), await archiveSource(view)))
    await store.close()
    const files = archiveFolder(folder)
    const names = await filesUnder(files, '')
    const contents = new Map(names.map((name) => [name, readFileSync(join(folder, name))]))
    const { vkey: key } = openKeyring(originAt(where), where.home)
    const memory = (changed: string, bytes: Uint8Array): ArchiveFiles => ({
      name: 'archive',
      read: async (path) => (path === changed ? bytes : contents.get(path)),
      names: (path) => files.names(path),
    })
    return {
      seeds: names.map((name, i) => concat(Uint8Array.of(i), contents.get(name)!)),
      run: async (bytes) => {
        const name = names[(bytes[0] ?? 0) % names.length]!
        const content = bytes.subarray(1)
        const changed = !Buffer.from(content).equals(contents.get(name)!)
        const verdict = await verifyLog(await archiveEvidence(memory(name, content), key))
        if (changed) expectThat(!verdict.whole || (name === 'checkpoint' && fromUtf8(content).startsWith(fromUtf8(contents.get(name)!))) || name === 'checkpoint', `a changed ${name} passes`)
      },
      close: remove,
    }
  },
}

async function filesUnder(files: ArchiveFiles, folder: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await files.names(folder)) {
    const path = folder === '' ? name : `${folder}/${name}`
    const inside = await files.names(path).catch(() => [])
    found.push(...(inside.length > 0 ? await filesUnder(files, path) : [path]))
  }
  return found.sort()
}

async function sampleLog(): Promise<{ where: Place; sessions: string[]; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-fuzz-'))
  const where = place(join(folder, 'log'))
  const { sessions } = await smallLog(where)
  return { where, sessions, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

async function sampleBundle(): Promise<string> {
  const { where, sessions, remove } = await sampleLog()
  const store = await openSqliteStore(where.db, { readOnly: true })
  try {
    return (await store.read((view) => exportBundle(view, openKeyring(originAt(where), where.home), { session_id: sessions[0]!, disclose: 'all' }))).json
  } finally {
    await store.close()
    remove()
  }
}

const bundlePage: Parser = {
  covers: [],
  make: async () => {
    const json = await sampleBundle()
    return {
      seeds: texts(`<!doctype html>\n${bundleBlock(json.slice(0, 2_000))}\n<script>1</script>`, bundleBlock('{}'), `<html>${bundleBlock(json)}`),
      run: (bytes) => {
        const page = textOf(bytes)
        const found = bundleIn(page)
        expectThat(page.includes(bundleBlock(found)) && !found.includes('<'), 'not the block of the page')
      },
    }
  },
}

const bundle: Parser = {
  covers: ['verify/bundle-text.ts parseBundle'],
  make: async () => {
    const json = await sampleBundle()
    return {
      seeds: texts(json),
      run: (bytes) => {
        const text = textOf(bytes)
        same(formatBundle(parseBundle(text)), text, 'bundle')
        const { verdict } = verifyBundle(text)
        expectThat(!verdict.whole || text === json || verdict.counts.withheld > 0 || verdict.counts.erased > 0, 'a changed bundle passes')
      },
      json: (value) => canonicalJson(value as CanonicalValue).replaceAll('<', '\\u003c'),
    }
  },
}

/** The entries of a bundle changed as JSON, written canonically and put back: what reads them is reached though the root is wrong. */
const bundleEntries: Parser = {
  covers: [],
  make: async () => {
    const base = parseBundle(await sampleBundle())
    const inside = base.entries.map(({ entry }) => JSON.parse(fromUtf8(fromBase64(entry))) as { index: number })
    return {
      seeds: texts(JSON.stringify(inside)),
      run: (bytes) => {
        const entries = JSON.parse(textOf(bytes)) as unknown
        if (!Array.isArray(entries)) return
        let last = -1
        const made: Bundle = {
          ...base,
          entries: entries.slice(0, 300).map((entry: unknown) => {
            const index = (entry as { index?: unknown } | null)?.index
            last = Number.isSafeInteger(index) && (index as number) > last ? (index as number) : last + 1
            return { index: last, entry: toBase64(utf8(canonicalJson(entry as CanonicalValue))) }
          }),
        }
        const { verdict } = verifyBundle(formatBundle(made))
        expectThat(!verdict.whole || JSON.stringify(entries) === JSON.stringify(inside), 'changed entries pass')
      },
      json: write,
      refuses: /^base: expected|JSON|^(?:Expected|Unexpected|Unterminated|Bad|No number|Exponent)/,
    }
  },
}

const canonicalText: Parser = {
  covers: ['base/canonical-json.ts parseCanonicalJson'],
  make: () => ({
    seeds: texts(canonicalJson({ a: [1, -0.5, 1e21, 'é\u2028"\\', true, null], '': {}, z: { __proto__x: [] } }), '"\\u0000"', '[]'),
    run: (bytes) => {
      const text = textOf(bytes)
      same(canonicalJson(parseCanonicalJson(text)), text, 'canonical JSON')
    },
    json: canonical,
    refuses: /^base: expected canonical JSON|JSON|^(?:Expected|Unexpected|Unterminated|Bad|No number|Exponent)/,
  }),
}

const strictText: Parser = {
  covers: ['base/canonical-json.ts parseStrictJson'],
  make: () => ({
    seeds: texts('{"a":[1,-0.5,1e21,"\\u00e9\\ud83d\\ude00\\n",true,null],"b":{"__proto__":1}}', ' [ ] ', '"\\""', '-0'),
    run: (bytes) => {
      const text = textOf(bytes)
      same(JSON.stringify(parseStrictJson(text)), JSON.stringify(JSON.parse(text)), 'strict JSON')
    },
    json: write,
    refuses: /^base: expected/,
  }),
}

const bytesOf: Parser = {
  covers: ['base/ids.ts parseUuid'],
  make: () => ({
    seeds: texts(toBase64(root), toHex(root), fixtures.SESSION, 'AAA=', 'AA==', ''),
    run: (bytes) => {
      const text = textOf(bytes)
      const read = <T>(of: () => T): T | undefined => {
        try {
          return of()
        } catch (error) {
          if (error instanceof TypeError && error.message.startsWith('base: ')) return undefined
          throw error
        }
      }
      const [base64, hex, uuid] = [read(() => fromBase64(text)), read(() => fromHex(text)), read(() => parseUuid(text))]
      if (base64 !== undefined) same(toBase64(base64), text, 'base64')
      if (hex !== undefined) same(toHex(hex), text, 'hex')
      if (uuid !== undefined) same(formatUuid(uuid), text, 'uuid')
    },
    takesAll: true,
  }),
}

const entryFields: { readonly [name: string]: unknown } = {
  stream: fixtures.STREAM, stream_seq: 3, parent_event_id: fixtures.uuid(4), step_number: 2, outcome: 'success',
}
const entrySeeds = [
  fixtures.entry(7, 'llm_call', { ...entryFields, facts: { provider: 'anthropic', model_id: 'm', streaming: false }, payloads: { input_messages: { base: 3, keep: 1, add: [fixtures.ref(1), fixtures.ref(2, { k: 3, masked: ['card'] })], count: 3, root: fixtures.hash(1) }, system_prompt: { same: 2 }, request_parameters: fixtures.ref(9) } }),
  fixtures.entry(9, 'session_end', { facts: { reason: 'done', streams: { [fixtures.STREAM]: 4 }, segment_count: 1, segment_root: fixtures.hash(2) } }),
  fixtures.entry(1, 'erasure', { facts: { erasure: 'e', phase: 'ordered', scopes: [`${fixtures.SESSION}/0`] } }),
  fixtures.entry(2, 'of_tomorrow', { facts: { new: true } }),
]

/** What it gave, or what it said. */
function outcomeOf(run: () => unknown): string {
  try {
    return JSON.stringify(run())
  } catch (error) {
    return String(error)
  }
}

const entry: Parser = {
  covers: ['event/parse.ts parseEntry', 'event/parse.ts parseEntryText', 'event/plain-entry.ts readPlainEntry'],
  make: () => ({
    seeds: entrySeeds.map((each) => utf8(canonicalJson(each as unknown as CanonicalValue))),
    run: (bytes) => {
      const text = bytes.every((byte) => byte < 0x80) ? Buffer.from(bytes).toString('latin1') : undefined
      if (text !== undefined) expectThat(outcomeOf(() => parseEntryText(text)) === outcomeOf(() => parseEntry(bytes)), 'an entry is another one as text')
      const parsed = parseEntry(bytes)
      same(encodeEntry(parsed.entry), bytes, 'entry')
      encodeSession(foldSession(undefined, parsed.entry, fixtures.hash(3)))
    },
    json: canonical,
  }),
}

/** Entries of one session in a row, as JSON: lists that build on each other, and the row that is folded from them. */
const listChanges: Parser = {
  covers: ['event/session.ts decodeSession'],
  make: () => {
    const list = (n: number, more: object): object => ({ add: [fixtures.ref(n), fixtures.ref(n + 1)], count: 2, root: fixtures.hash(n), ...more })
    const entries = [
      fixtures.entry(0, 'session_start', { stream: fixtures.STREAM, stream_seq: 0, facts: { agent_id: 'a' }, payloads: { system_prompt: fixtures.ref(0) } }),
      fixtures.entry(1, 'llm_call', { stream: fixtures.STREAM, stream_seq: 1, payloads: { input_messages: list(1, {}) as never } }),
      fixtures.entry(2, 'llm_call', { stream: fixtures.STREAM, stream_seq: 4, payloads: { input_messages: list(3, { base: 1, keep: 2, count: 4 }) as never, system_prompt: { same: 0 } } }),
      fixtures.entry(3, 'llm_call', { stream: fixtures.STREAM, stream_seq: 2, payloads: { input_messages: { same: 2 } } }),
      fixtures.entry(4, 'tool_call', { stream: fixtures.STREAM, stream_seq: 9, facts: { tool_name: 'refund' }, payloads: { input_messages: list(7, { base: 3, keep: 1, count: 3 }) as never } }),
      fixtures.entry(5, 'session_end', { facts: { reason: 'done' }, outcome: 'success' }),
    ]
    return {
      seeds: texts(JSON.stringify(entries), JSON.stringify(entries.slice(0, 3))),
      run: (bytes) => {
        const given = JSON.parse(textOf(bytes)) as unknown
        if (!Array.isArray(given)) return
        const index = new ListIndex()
        let state: SessionState | undefined
        for (const each of given.slice(0, 300)) {
          const parsed = parseEntry(utf8(canonicalJson(each as CanonicalValue))).entry
          index.add(parsed)
          for (const slot of Object.keys(parsed.payloads)) if (index.list(parsed.seq, slot) !== undefined) expectThat(index.refs(parsed.seq, slot).length === index.list(parsed.seq, slot)!.count && index.places(parsed.seq, slot).length === index.refs(parsed.seq, slot).length, 'a list is not as long as it says')
          state = foldSession(state, parsed, fixtures.hash(3))
          const row = encodeSession(state)
          same(encodeSession(decodeSession(row)), row, 'session row')
        }
      },
      json: write,
      refuses: /^base: expected|JSON|^(?:Expected|Unexpected|Unterminated|Bad|No number|Exponent)/,
    }
  },
}

const sessionRow: Parser = {
  covers: [],
  make: () => {
    const state = entrySeeds.slice(0, 3).reduce<SessionState | undefined>((before, each) => foldSession(before, each, fixtures.hash(1)), undefined)!
    return {
      seeds: texts(encodeSession(state), encodeSession(foldSession(state, entrySeeds[0]!, fixtures.hash(2)))),
      run: (bytes) => {
        const text = textOf(bytes)
        const decoded = decodeSession(text)
        same(encodeSession(decoded), text, 'session row')
        encodeSession(foldSession(decoded, entrySeeds[0]!, fixtures.hash(4)))
      },
      json: canonical,
    }
  },
}

const draftSeeds = [
  fixtures.draft('llm_call', { stream: fixtures.STREAM, stream_seq: 0, facts: { provider: 'anthropic', model_id: 'm' }, payloads: { input_messages: { add: [{ m: 'json', content: '{"role":"user"}' }, { m: 'text', content: 'é' }] }, system_prompt: { same: fixtures.uuid(2) } } }),
  fixtures.draft('tool_call', { facts: { tool_name: 'refund', risk: 'high' }, links: { approval: fixtures.uuid(3) }, payloads: { tool_input: { m: 'bytes', content: Uint8Array.of(1, 2, 255), k: 1, masked: ['card'] } } }),
]

const draft: Parser = {
  covers: ['event/draft.ts decodeDraft'],
  make: () => ({
    seeds: draftSeeds.map(encodeDraft),
    run: (bytes) => {
      const decoded = decodeDraft(bytes)
      checkDraft(decoded)
      const again = encodeDraft(decoded)
      same(encodeDraft(decodeDraft(again)), again, 'draft')
    },
    refuses: /^event: not a draft/,
  }),
}

/** The header as JSON, changed as a tree, with as many bytes behind it as it names. */
const draftHeader: Parser = {
  covers: [],
  make: () => ({
    seeds: draftSeeds.map((each) => {
      const bytes = encodeDraft(each)
      return bytes.subarray(4, 4 + new DataView(bytes.buffer).getUint32(0))
    }),
    run: (bytes) => {
      let wanted = 0
      for (const [, n] of fromUtf8OrEmpty(bytes).matchAll(/"n":(\d{1,5})\b/g)) wanted += Number(n)
      const decoded = decodeDraft(concat(u32be(bytes.length), bytes, new Uint8Array(Math.min(wanted, 100_000)).fill(0x20)))
      checkDraft(decoded)
      encodeDraft(decoded)
    },
    json: write,
    refuses: /^event: not a draft/,
  }),
}

function fromUtf8OrEmpty(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    return ''
  }
}

const scope = newScope()
const sealing = { origin: ORIGIN, scope: scope.id, secret: scope.secret }

const segment: Parser = {
  covers: ['vault/segment.ts parseSegmentHeader'],
  make: () => ({
    seeds: [sealSegment({ ...sealing, groups: [[utf8('one'), utf8('two')], [new Uint8Array(3_000).fill(65)]] }).segment],
    run: (bytes) => {
      parseSegmentHeader(bytes)
      attempt(() => openSegment(bytes, sealing))
    },
  }),
}

/** The plaintext changed and sealed again: what a dishonest writer with the key could make of frames. */
const frames: Parser = {
  covers: ['vault/segment.ts readFrame', 'vault/segment.ts readPayload', 'vault/segment.ts openSegment'],
  make: () => {
    const plain = (groups: readonly (readonly Uint8Array[])[]): Uint8Array => {
      const { frames: found } = openSegment(sealSegment({ ...sealing, groups }).segment, sealing)
      return concat(...found.flatMap(({ codec, continued, raw, lengths, bytes }) => [Uint8Array.of(codec + (continued ? 128 : 0)), u32be(bytes.length), u32be(raw), Uint8Array.of(lengths.length >> 8, lengths.length & 255), ...lengths.map(u32be), bytes]))
    }
    return {
      seeds: [plain([[utf8('one'), utf8('')], [utf8('{"a":1}'.repeat(500)), utf8('x'.repeat(70))]]), plain([[new Uint8Array(2_500_000)]]), plain([Array.from({ length: 40 }, (_, i) => utf8(`${i}`))])],
      run: (bytes) => {
        const opened = openSegment(sealed(bytes), sealing)
        for (const place of placesOf(opened).slice(0, 4)) attempt(() => readPayload(opened, place))
        for (let i = 0; i < Math.min(4, opened.frames.length); i++) attempt(() => readFrame(opened, i))
        attempt(() => readPayload(opened, { frame: bytes[0] ?? 0, position: bytes[1] ?? 0, frames: bytes[2] ?? 0 }))
      },
    }
  },
}

function sealed(content: Uint8Array): Uint8Array {
  const length = paddedLength(content.length)
  const salt = new Uint8Array(32).fill(1)
  const header = concat(utf8('cfs1'), Uint8Array.of(1), scope.id, salt, u32be(length))
  const { key, nonce } = deriveSealing(scope.secret, { label: 'counterfoil/segment/v1', origin: ORIGIN, salt })
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(header)
  const body = cipher.update(concat(content, new Uint8Array(length - content.length)))
  cipher.final()
  return concat(header, body, cipher.getAuthTag())
}

const wrapped: Parser = {
  covers: ['vault/scope.ts parseWrapped'],
  make: () => {
    const kek = { generation: 3, key: new Uint8Array(32).fill(9) }
    const right = wrapSecret(scope, kek, ORIGIN)
    return {
      seeds: [right],
      run: (bytes) => {
        parseWrapped(bytes)
        same(unwrapSecret(bytes, scope.id, ORIGIN, () => kek.key), scope.secret, 'secret')
        same(bytes, right, 'wrapped secret')
      },
    }
  },
}

const owner = { host: 'h', boot_id: 'b', pid_ns: 'n', pid: 1, start_time: '7' }

const spoolHeader: Parser = {
  covers: ['spool/record.ts parseHeader'],
  make: () => ({
    seeds: [encodeHeader(new Uint8Array(16).fill(1), new Uint8Array(32).fill(2), owner).bytes],
    run: (bytes) => {
      const header = parseHeader(bytes)
      if (header !== undefined) same(header.bytes, bytes.subarray(0, header.bytes.length), 'spool header')
    },
    refuses: /^(?:it does not start|the length in its header|its owner)/,
  }),
}

/** A whole file, read from a disk; and one whose records are sealed again over changed drafts. */
const spool: Parser = {
  covers: ['spool/reader.ts readSpool', 'spool/reader.ts openSpool'],
  make: () => {
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-fuzz-'))
    const header = encodeHeader(new Uint8Array(16).fill(1), new Uint8Array(32).fill(2), owner)
    const key = new Uint8Array(32).fill(5)
    const recordsKey = recordKey(key, ORIGIN, header.bytes)
    const path = join(folder, header.id)
    const record = (content: Uint8Array, offset: number): Uint8Array => {
      const out = Buffer.alloc(content.length + OVERHEAD_BYTES)
      sealRecord(out, recordsKey, 0, offset, content)
      return out
    }
    const drafts = draftSeeds.map(encodeDraft)
    const [first, second] = [record(drafts[0]!, header.bytes.length), record(drafts[1]!, header.bytes.length + drafts[0]!.length + OVERHEAD_BYTES)]
    return {
      seeds: [concat(header.bytes, first, second), concat(header.bytes, first, new Uint8Array(100)), concat(header.bytes, first, second.subarray(0, 30)), header.bytes, drafts[0]!, drafts[1]!],
      run: (bytes) => {
        const whole = bytes[0] === 0x63 // "c", as the magic begins
        writeFileSync(path, whole ? bytes : concat(header.bytes, record(bytes, header.bytes.length)))
        spoolOwner(path)
        for (const { bytes: content } of readSpool(path, { origin: ORIGIN, key })) checkDraft(decodeDraft(content))
      },
      refuses: /^event: not a draft/,
      close: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

/** Rows of a database whose columns a flipped bit, or somebody, made another type: `?` values straight from the input. */
const rows: Parser = {
  covers: [],
  make: () => {
    const db = new Connection(':memory:', 'write', 'memory')
    db.exec('CREATE TABLE t (size, checkpoint, session_id, row, segment, scope, bytes)')
    return {
      seeds: texts('i5|tabc', 'i0|b616263|t|t|i9007199254740993|b00|b', 'n|f1.5|i-1'),
      run: (bytes) => {
        const values = textOf(bytes).split('|').slice(0, 7).map((part) => (part[0] === 'i' && /^-?\d{1,18}$/.test(part.slice(1)) ? BigInt(part.slice(1)) : part[0] === 'f' ? Number(part.slice(1)) || 0 : part[0] === 'b' ? utf8(part.slice(1)) : part[0] === 'n' ? null : part.toWellFormed()))
        db.run('DELETE FROM t')
        db.run('INSERT INTO t VALUES (?,?,?,?,?,?,?)', ...Array.from({ length: 7 }, (_, i) => values[i] ?? null))
        const readers = [() => rowsOf(HEAD, db, 'SELECT size, checkpoint FROM t'), () => rowsOf(SESSION, db, 'SELECT session_id, row FROM t'), () => rowsOf(SEGMENT, db, 'SELECT segment, scope, bytes FROM t')]
        for (const reader of readers) {
          attempt(reader)
        }
      },
      takesAll: true,
      close: () => db.close(),
    }
  },
}

const block = { type: 'text', text: 'Hello "wörld"', citations: [{ a: 1 }] }
const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-opus-4-6', content: [block, { type: 'tool_use', id: 't1', name: 'refund', input: { order_id: '1182', amount: 42 } }, { type: 'thinking', thinking: 'so', signature: 's' }], stop_reason: 'tool_use', usage: { input_tokens: 5, output_tokens: 7 } }
const streamed = [
  { type: 'message_start', message: { ...message, content: [] } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hel' } },
  { type: 'ping' },
  { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 't', name: 'refund', input: {} } },
  { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"a":' } },
  { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '1}' } },
  { type: 'content_block_stop', index: 1 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } },
  { type: 'message_stop' },
]
const asEvents = (events: readonly unknown[]): string => events.map((event) => `event: ${(event as { type?: unknown } | null)?.type === 'ping' ? 'ping' : 'x'}\ndata: ${JSON.stringify(event)}\n\n`).join('')

/** The same bytes in one piece and cut anywhere give the same events. */
const sse: Parser = {
  covers: [],
  make: () => ({
    seeds: texts(asEvents(streamed), 'data: a\r\ndata: b\r\n\r\n:comment\r\revent: x\rdata\r\r', '\ufeffdata: é\n\n'),
    run: (bytes) => {
      const read = (cut: number): string => {
        const parser = new SseParser(10_000)
        const events = []
        for (let at = 0; at < bytes.length; at += cut) events.push(...parser.push(bytes.subarray(at, at + cut)))
        return JSON.stringify([...events, ...parser.end(), parser.dropped])
      }
      const whole = read(Math.max(1, bytes.length))
      same(read(1 + (bytes[0] ?? 0) % 7), whole, 'stream cut into pieces')
    },
    takesAll: true,
  }),
}

function readAnswer(bytes: Uint8Array, sse: boolean): void {
  const reader = new ResponseReader({ status: 200, content_type: sse ? 'text/event-stream' : 'application/json', streaming: sse, model_id: 'm' })
  const half = Math.floor(bytes.length / 2)
  reader.push(bytes.subarray(0, half))
  reader.push(bytes.subarray(half))
  const result = reader.result()
  for (const piece of [...result.output, result.raw, result.usage]) if (piece?.m === 'json') JSON.parse(piece.content as string)
}

const providerStream: Parser = {
  covers: [],
  make: () => ({
    seeds: texts(asEvents(streamed), asEvents([...streamed, ...streamed])),
    run: (bytes) => readAnswer(bytes, true),
    takesAll: true,
  }),
}

/** The events as a JSON array, changed as a tree. */
const providerEvents: Parser = {
  covers: [],
  make: () => ({
    seeds: texts(JSON.stringify(streamed)),
    run: (bytes) => {
      let events: unknown
      try {
        events = JSON.parse(textOf(bytes))
      } catch {
        return
      }
      if (Array.isArray(events)) readAnswer(utf8(asEvents(events)), true)
    },
    json: write,
    takesAll: true,
  }),
}

const providerJson: Parser = {
  covers: ['wire/anthropic.ts readRequest'],
  make: () => ({
    seeds: texts(JSON.stringify(message), JSON.stringify({ model: 'm', max_tokens: 5, temperature: 0.5, system: 's', stream: true, messages: [{ role: 'user', content: 'hi' }], tools: [{ name: 't' }], thinking: { budget_tokens: 5 }, thread: { previous_message_id: 'x' } }), '{"type":"error","error":{"type":"overloaded_error"}}'),
    run: (bytes) => {
      readAnswer(bytes, false)
      modelEndpoint('POST', textOf(bytes))
      const request = readRequest(bytes, { endpoint: '/v1/messages', attempt: 1 })
      for (const piece of [...request.input_messages, ...request.tool_definitions, request.request_parameters]) if (piece?.m === 'json') JSON.parse(piece.content as string)
      readRequest(textOf(bytes), { endpoint: '/v1/messages', attempt: 1 })
    },
    json: write,
    takesAll: true,
  }),
}

const slices: Parser = {
  covers: ['wire/json-slices.ts parseJson'],
  make: () => ({
    seeds: texts(JSON.stringify(message, null, 1), '{"a":1,"a":[{"b":"\\"}]"}]}', '{ }'),
    run: (bytes) => {
      const text = textOf(bytes)
      parseJson(text)
      const cut = cutObject(text)
      if (cut === undefined) return
      same(JSON.stringify(JSON.parse(joinMembers(cut.members))), JSON.stringify(JSON.parse(text)), 'members')
      for (const { key } of cut.members.slice(0, 50)) {
        same(JSON.stringify(JSON.parse(cut.text(key)!)), JSON.stringify(cut.value(key)), 'member')
        const elements = cut.elements(key)
        if (elements !== undefined) same(JSON.stringify(elements.map((each) => JSON.parse(each) as unknown)), JSON.stringify(cut.value(key)), 'elements')
        cut.object(key)?.members.map((member) => member.key)
      }
    },
    json: write,
    // JSON.stringify in this test is what goes deep, not the reader
    refuses: /^Maximum call stack size exceeded$/,
  }),
}

const masks: Parser = {
  covers: [],
  make: () => ({
    seeds: texts(JSON.stringify({ key: 'sk-ant-abcdefghijklmnopqrstuvwxyz', card: 4111111111111111, text: 'Bearer abcdefghijkl 4111 1111 1111 1111', url: 'https://u:p@h/?token=x&a=b', inner: JSON.stringify({ pw: '?password=xyz' }), pem: '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----' }), 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc AKIAIOSFODNN7EXAMPLE xoxb-123456789012'),
    run: (bytes) => {
      const text = textOf(bytes)
      for (const media of ['text', 'json'] as const) {
        const { text: after } = applyMasks(text, media, defaultMasks)
        if (media === 'json' && parseJson(text) !== undefined) expectThat(parseJson(after) !== undefined, 'masked JSON is no JSON')
      }
    },
    json: write,
    takesAll: true,
  }),
}

/** As views give a payload. */
function contentOf(text: string): unknown {
  try {
    return parseShallowJson(text)
  } catch {
    return text
  }
}

/** Content of a session, as `show` and `why` read it: values that a stranger's tool or model gave. */
const contentRead: Parser = {
  covers: ['why/message.ts readMessage', 'why/message.ts readOutput', 'why/message.ts readRequest', 'base/shallow-json.ts parseShallowJson'],
  make: async () => {
    const { event, idOf, EVENTS } = await import('../../src/cli/fixtures.ts')
    return {
      seeds: texts(JSON.stringify([message]), JSON.stringify([{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: '{"order_id":"1182"}' }] }, { role: 'assistant', tool_calls: [{ function: { name: 'refund', arguments: '{"order_id":"1182"}' } }] }]), JSON.stringify(['{"status":"returned","amount":42}', 'Refund 1182 on 2026-11-21.'])),
      run: (bytes) => {
        const value = contentOf(textOf(bytes))
        const gone = { absent: () => undefined, opaque: () => undefined }
        readMessage(value, gone)
        readOutput(Array.isArray(value) ? value : [value], gone)
        readToolRequest(value)
        leavesOf(value)
        contentText(bytes)
        fitted(value, 70)
        fitted(textOf(bytes), 70)
        const events = [...EVENTS.slice(0, 1), event(13, 1, 'llm_call', { input_messages: Array.isArray(value) ? value : [value] }), event(17, 2, 'tool_result', { tool_output: value }), event(21, 3, 'tool_call', { tool_name: 'refund', tool_input: value })]
        linesOf(why(events, idOf(21)))
      },
      json: write,
      takesAll: true,
    }
  },
}

const arguments_: Parser = {
  covers: ['cli/moment.ts parseMoment', 'cli/commands/sessions.ts parseLimit', 'cli/commands/export.ts parseDisclose'],
  make: async () => {
    const { where, remove } = await sampleLog()
    const trail = await openLocalTrail(where.db, 'read', where.home)
    return {
      seeds: texts('2026-11-21T08:00:00.123+02:00', '2026-11-21 08:00', '90m', 'yesterday', '#12', 'last', '7f3a91c2', '50'),
      run: async (bytes) => {
        const text = textOf(bytes)
        const now = Date.UTC(2026, 10, 21)
        const reading: (() => unknown)[] = [() => expectThat(!Number.isNaN(parseMoment(text, now).toISOString().length), 'a moment that is none'), () => parseLimit(text), () => parseDisclose(text), () => findSession(trail, text), () => findEvent(trail, text)]
        for (const read of reading) {
          try {
            await read()
          } catch (error) {
            if (!(error instanceof Error) || !('code' in error)) throw error
          }
        }
      },
      takesAll: true,
      close: async () => {
        await trail.close()
        remove()
      },
    }
  },
}

const cursors: Parser = {
  covers: [],
  make: async () => {
    const { where, remove } = await sampleLog()
    const store = await openSqliteStore(where.db, { readOnly: true })
    const reader = new LogReader(store, openKeyring(originAt(where), where.home))
    const first = await reader.sessions({}, 1, undefined)
    return {
      seeds: texts(first.next!, '"x"', '5'),
      run: async (bytes) => {
        await reader.sessions({}, 2, textOf(bytes))
      },
      json: write,
      close: async () => {
        await store.close()
        remove()
      },
    }
  },
}

const otlpSpans: TestSpan[] = [
  { id: spanId(2), parent: spanId(1), attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.usage.input_tokens': 5, 'gen_ai.request.temperature': 0.5, 'gen_ai.response.finish_reasons': ['stop'], 'gen_ai.input.messages': JSON.stringify([{ role: 'user', parts: [{ type: 'text', content: 'Hello' }] }]), 'gen_ai.output.messages': JSON.stringify([{ role: 'assistant', parts: [{ type: 'tool_call', id: 'c', name: 't', arguments: { a: 1 } }] }]), 'gen_ai.system_instructions': '[{"type":"text","content":"Be kind."}]' } },
  { id: spanId(3), parent: spanId(1), attributes: { 'openinference.span.kind': 'LLM', 'llm.input_messages.0.message.role': 'user', 'llm.input_messages.0.message.contents.0.message_content.text': 'Hello', 'llm.output_messages.0.message.tool_calls.0.tool_call.function.name': 't', 'llm.invocation_parameters': '{"top_p":1}', 'gen_ai.prompt.0.content': 'x' } },
  { id: spanId(4), parent: spanId(2), attributes: { 'ai.operationId': 'ai.toolCall', 'ai.toolCall.name': 't', 'ai.toolCall.args': '{"a":1}', map: { a: [null, true, 1.5, new Uint8Array(3)] } }, status: { code: 2, message: 'no' }, events: [{ name: 'exception', attributes: { 'exception.type': 'E' } }] },
  { id: spanId(1), attributes: { 'session.id': 's', 'user.id': 'u' }, events: [{ name: 'gen_ai.user.message', attributes: { content: 'x' } }] },
]
const otlpLogs: TestLog[] = [{ name: 'claude_code.api_request', attributes: { model: 'm', duration_ms: '5', 'session.id': 's' } }, { body: 'claude_code.tool_result', attributes: { tool_name: 'Bash', success: 'true', tool_input: '{}' } }, { body: { a: [1] }, trace: 'ab'.repeat(16), span: spanId(2) }]

/** An export, read and told; both signals are tried on each input, in the encoding of the row. */
function otlpRow(encoding: Encoding, covers: readonly string[], seeds: readonly Uint8Array[]): Parser {
  return {
    covers,
    make: () => ({
      seeds,
      run: async (bytes) => {
        const errors: unknown[] = []
        for (const signal of ['traces', 'logs'] satisfies Signal[]) {
          const drafts: Uint8Array[] = []
          const sink = { append: (all: readonly Uint8Array[]) => Promise.resolve(all.map((draft) => { drafts.push(draft); return { event_id: '' } })), sessionsOf: () => Promise.resolve(new Map<string, string>()) }
          try {
            const { items } = await new OtlpIntake({ key: new Uint8Array(32), masks: defaultMasks }).take(signal, encoding, bytes, sink)
            expectThat(drafts.length >= items, 'an item that is no event')
            for (const draft of drafts) checkDraft(decodeDraft(draft))
          } catch (error) {
            if (!(error instanceof MisuseError) || error.code !== 'bad_otlp') throw error
            errors.push(error)
          }
        }
        if (errors.length === 2) throw errors[0]
      },
      ...(encoding === 'json' ? { json: write } : {}),
    }),
  }
}

const otlpJson = otlpRow('json', ['capture/otlp/json.ts readJsonTraces', 'capture/otlp/json.ts readJsonLogs', 'capture/otlp/messages.ts readAnswer', 'capture/otlp/model-call.ts readModelCall', 'capture/otlp/tool-call.ts readToolCall', 'capture/otlp/span.ts readOther'], [utf8(write(tracesJson(otlpSpans))), utf8(write(logsJson(otlpLogs)))])
const otlpProtobuf = otlpRow('protobuf', ['capture/otlp/protobuf.ts readTraces', 'capture/otlp/protobuf.ts readLogs'], [tracesBytes(otlpSpans), logsBytes(otlpLogs)])

/** Every parser by name. Those that a stranger's bytes reach first stand first: a long run that is cut short has had them. */
const hash = 'ab'.repeat(32)
const manifestText = formatManifest({ made_at: '2026-11-21T08:00:00.000Z', origin: ORIGIN, size: 12, keys: true, sealed: [3, 9], files: ['README.txt', 'checkpoint', 'keys/log.example_agents/log.key', 'log.db'].map((path) => ({ path, bytes: 7, sha256: hash })) })

const manifest: Parser = {
  covers: ['ledger/backup-manifest.ts parseManifest', 'ledger/restore.ts readManifest'],
  make: () => {
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-fuzz-'))
    return {
      seeds: texts(manifestText),
      run: (bytes) => {
        const text = textOf(bytes)
        writeFileSync(join(folder, 'manifest.json'), bytes)
        allOf([() => same(formatManifest(parseManifest(text)), text, 'manifest'), () => void readManifest(folder)])
      },
      close: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

const restoredMark: Parser = {
  covers: ['ledger/restored.ts parseRestored'],
  make: () => ({
    seeds: texts(formatRestored({ at: '2026-11-21T08:00:00.000Z', from: 'archive', checkpoint, signed: checkpoint, sealed: [3, 9] })),
    run: (bytes) => void restoredBy({ folder: 'keys', readRestored: () => textOf(bytes) }),
    json: write,
  }),
}

const serverBody: Parser = {
  covers: ['server/body.ts parseJson'],
  make: () => ({ seeds: texts('{"event_type":"reasoning","text":"because"}', '[1,"\\u00e9"]'), run: (bytes) => void parseBody(bytes), json: write }),
}

const serverCursor: Parser = {
  covers: ['server/page.ts decodeCursor'],
  make: () => ({
    seeds: texts(encodeCursor('ada'), encodeCursor('{"a":1}'), encodeCursor('é')),
    run: (bytes) => {
      const cursor = textOf(bytes)
      same(encodeCursor(decodeCursor(cursor)), cursor, 'cursor')
    },
  }),
}

const sentOffset: Parser = {
  covers: ['client/offset.ts readOffset'],
  make: () => {
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-fuzz-'))
    return {
      seeds: texts('0\n', '1048576\n'),
      run: (bytes) => {
        writeFileSync(join(folder, 'spool.sent'), bytes)
        const offset = readOffset(join(folder, 'spool'))
        if (!Number.isSafeInteger(offset) || offset < 0) throw new Error(`an offset of ${offset}`)
      },
      close: () => rmSync(folder, { recursive: true, force: true }),
    }
  },
}

const view: Parser = {
  covers: ['event/view-json.ts parseView'],
  make: () => ({
    seeds: texts(formatView([new Absent('erased', 7), { value: new Uint8Array([1, 2]), content: { absent: 'erased', by: 1 } }, { json: { base64: 'AQI=' } }]), '{"__proto__":{"absent":"withheld"},"a":{"json":{"json":1}}}'),
    refuses: /JSON|^(?:Expected|Unexpected|Unterminated|Bad|No number|Exponent)/,
    run: (bytes) => {
      const read = parseView(textOf(bytes))
      if (bytes.length < 5_000) same(formatView(parseView(formatView(read))), formatView(read), 'what was read')
    },
    json: write,
  }),
}

export const PARSERS: { readonly [name: string]: Parser } = {
  note, signedCheckpoint, bundle, bundleEntries, entry, proof, policy, witness, addCheckpoint, archive, frames, draft,
  witnessAnswer, providerEvents, providerStream, contentRead, listChanges, spool, masks, keyTexts, segment, canonicalText, strictText, slices,
  providerJson, draftHeader, sessionRow, listFile, tiles, tilePath, cosignature, bytesOf, bundlePage, wrapped, spoolHeader, sse, rows, arguments: arguments_, cursors,
  manifest, restoredMark, otlpJson, otlpProtobuf, serverBody, serverCursor, sentOffset, view,
}

/** Exports with the name of a parser that no row goes through, and why. */
export const EXEMPT: { readonly [name: string]: string } = {
  'server/routes/events.ts readEventRoutes': 'adds routes; what they read is checked by their schemas',
  'cli/commands/serve.ts parsePort': 'five digits of the command line, compared with a pattern',
  'log/reader.ts readRanges': 'asks a HashReader for hashes and computes; proofs made of them are checked (test/slow/proofs.test.ts)',
  'ledger/backup-folder.ts readText': 'reads the bytes of a file, at most as many as it is told',
  'ledger/policy-file.ts readPolicyText': 'reads a file of bounded size and gives it to parsePolicy, which stands here',
  'cli/commands/verify.ts readBundle': 'reads a page, takes the bundle out (bundleIn) and verifies it (verifyBundle), which stand here',
  'recorder/json-memory.ts readBack': 'takes what JSON.parse made of a text that JSON.stringify wrote here a moment ago',
  'ledger/bundle.ts readExported': 'gives the text to verifyBundle, which stands here, and counts what that found',
  'ledger/append.ts readTip': 'reads rows of the store, each through store/row.ts, parseEntry and decodeSession, which stand here',
}
