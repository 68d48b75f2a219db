// The example log of docs/format.md §12: five entries, two segments, every intermediate value; its archive (§13) and a bundle of it (§14). Everything random is a hash of its name, so
// that the same log comes out each time. `node test/vectors/format-v1.ts` writes format-v1.json; test/format-doc.test.ts makes it anew.

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sha256 } from '#crypto'
import { formatList, segmentPath } from '../../src/archive/layout.ts'
import { concat, fromHex, fromUtf8, toBase64, toHex, utf8 } from '../../src/base/bytes.ts'
import { formatUuid } from '../../src/base/ids.ts'
import { ownRefs, type Entry, type Ref, type Slot } from '../../src/event/entry.ts'
import { encodeEntry } from '../../src/event/parse.ts'
import { firstPrev } from '../../src/event/session.ts'
import { signCheckpoint, formatTreeHead } from '../../src/log/checkpoint.ts'
import { leafHash, nodeHash } from '../../src/log/hash.ts'
import { encodeBundle } from '../../src/log/tile.ts'
import { treeRoot } from '../../src/log/tree.ts'
import { commit, digestOf, saltOf } from '../../src/vault/commitment.ts'
import { formatSecretKey, formatSigningKey, parseSigningKey } from '../../src/vault/key-text.ts'
import { contentKeyOf, indexKeyOf, saltKeyOf, wrapSecret } from '../../src/vault/scope.ts'
import { sealSegment } from '../../src/vault/segment.ts'
import { formatBundle } from '../../src/verify/bundle-text.ts'
import { sign } from 'node:crypto'

/** `n` bytes that stand for random ones. */
function fixed(name: string, n: number): Uint8Array {
  return sha256(utf8(`counterfoil example ${name}`)).slice(0, n)
}

function uuid(name: string): string {
  const bytes = fixed(name, 16)
  bytes[6] = 0x70 | (bytes[6]! & 0x0f)
  bytes[8] = 0x80 | (bytes[8]! & 0x3f)
  return formatUuid(bytes)
}

interface PayloadVector { entry: number; slot: string; position: number; media: string; text: string; digest: string; salt: string; commitment: string; content_key: string; segment: number; frame: number; place: number }

const ORIGIN = `counterfoil.local/${toHex(fixed('origin', 16))}`
const SEED = fixed('log key', 32)
const KEK = fixed('kek', 32)
const SCOPE = { id: fixed('scope', 16), secret: fixed('scope secret', 32) }

/** What an entry's payload is made of. */
type Content = { m: Ref['m']; text: string } | { same: number } | { base?: number; keep?: number; add: { m: Ref['m']; text: string }[] }

class Example {
  readonly key = formatSigningKey(ORIGIN, SEED)
  readonly saltKey = saltKeyOf(SCOPE.secret, ORIGIN)
  readonly indexKey = indexKeyOf(SCOPE.secret, ORIGIN)
  readonly entries: Entry[] = []
  readonly bytes: Uint8Array[] = []
  readonly payloads: PayloadVector[] = []
  readonly segments: { id: number; bytes: Uint8Array; random: Uint8Array }[] = []
  readonly #next = new Map<string, { seq: number; prev: string }>()
  readonly #lists = new Map<string, string[]>()

  /** One append: its events, and one segment with what is new in them. */
  append(events: { event: Omit<Entry, 'v' | 'index' | 'seq' | 'prev' | 'payloads'>; contents?: { [slot: string]: Content } }[]): void {
    const segment = this.segments.length + 1
    const groups: Uint8Array[][] = []
    for (const { event, contents = {} } of events) {
      const group: Uint8Array[] = []
      const index = this.entries.length
      const at = this.#next.get(event.session_id) ?? { seq: 0, prev: firstPrev(ORIGIN, event.session_id) }
      const ref = (slot: string, position: number, { m, text }: { m: Ref['m']; text: string }): Ref => {
        const digest = digestOf(utf8(text))
        const salt = saltOf(this.saltKey, { event_id: event.event_id, slot, position, digest })
        const c = toBase64(commit(salt, digest))
        this.payloads.push({
          entry: index, slot, position, media: m, text, digest: toHex(digest), salt: toHex(salt), commitment: c, content_key: toHex(contentKeyOf(this.indexKey, digest)),
          segment, frame: groups.length, place: group.length,
        })
        group.push(utf8(text))
        return { c, m }
      }
      const payloads: Record<string, Slot> = {}
      for (const slot of Object.keys(contents).sort()) {
        const content = contents[slot]!
        if ('same' in content) payloads[slot] = content
        else if ('add' in content) payloads[slot] = this.#list(slot, at.seq, content, content.add.map((one, position) => ref(slot, position, one)))
        else payloads[slot] = ref(slot, 0, content)
      }
      const end = event.event_type === 'session_end' ? this.#end() : {}
      const entry: Entry = { ...event, v: 1, index, seq: at.seq, prev: at.prev, facts: { ...event.facts, ...end }, payloads }
      const bytes = encodeEntry(entry)
      this.entries.push(entry)
      this.bytes.push(bytes)
      this.#next.set(event.session_id, { seq: at.seq + 1, prev: toBase64(leafHash(bytes)) })
      if (group.length > 0) groups.push(group)
    }
    if (groups.length === 0) return
    const random = fixed(`segment ${segment}`, 32)
    const sealed = sealSegment({ origin: ORIGIN, scope: SCOPE.id, secret: SCOPE.secret, groups, random: () => random })
    this.segments.push({ id: segment, bytes: sealed.segment, random })
  }

  #list(slot: string, seq: number, { base, keep = 0 }: { base?: number; keep?: number }, add: Ref[]): Slot {
    const all = [...(base === undefined ? [] : this.#lists.get(`${base}/${slot}`)!.slice(0, keep)), ...add.map(({ c }) => c)]
    this.#lists.set(`${seq}/${slot}`, all)
    const root = treeRoot(all.map((c) => leafHash(Uint8Array.from(Buffer.from(c, 'base64')))))
    return { ...(base === undefined ? {} : { base, keep }), add, count: all.length, root: toBase64(root) }
  }

  #end(): Entry['facts'] {
    return { segment_count: this.segments.length, segment_root: toBase64(treeRoot(this.segments.map(({ bytes }) => leafHash(sha256(bytes))))) }
  }
}

/** The whole example, in the form of format-v1.json. */
export function makeVectors(): object {
  const log = new Example()
  const own = uuid('own session')
  const session_id = uuid('session')
  const stream = toHex(fixed('stream', 16))
  const at = (ms: number): string => new Date(Date.UTC(2026, 10, 21, 8) + ms).toISOString()
  const recorder = { session_id, writer: 'local', stream, capture: 'before' as const }
  log.append([{ event: { event_id: uuid('event 0'), event_type: 'log_start', session_id: own, writer: 'ledger', timestamp: at(0), recorded_at: at(0), capture: 'after', step_number: 0, facts: { format: 'counterfoil/v1', origin: ORIGIN, vkey: log.key.vkey.trimEnd() } } }])
  log.append([
    {
      event: { ...recorder, event_id: uuid('event 1'), event_type: 'session_start', stream_seq: 0, timestamp: at(100), recorded_at: at(120), step_number: 0, facts: { agent_id: 'support', user: toHex(fixed('user', 16)) } },
      contents: { identity: { m: 'json', text: '{"subject":"c-4711","role":"user"}' }, system_prompt: { m: 'text', text: 'Be brief.' } },
    },
    {
      event: { ...recorder, event_id: uuid('event 2'), event_type: 'llm_call', stream_seq: 1, timestamp: at(110), recorded_at: at(120), step_number: 1, facts: { provider: 'anthropic', model_id: 'claude-opus-4-6', message_count: 1, temperature: '0.7' } },
      contents: { input_messages: { add: [{ m: 'json', text: '{"role":"user","content":"Where is my refund?"}' }] }, system_prompt: { same: 0 } },
    },
  ])
  log.append([{
    event: { ...recorder, event_id: uuid('event 3'), event_type: 'llm_call', stream_seq: 2, timestamp: at(200), recorded_at: at(210), step_number: 2, facts: { provider: 'anthropic', model_id: 'claude-opus-4-6', message_count: 2 } },
    contents: { input_messages: { base: 1, keep: 1, add: [{ m: 'json', text: '{"role":"user","content":"For order 1182."}' }] }, system_prompt: { same: 0 } },
  }])
  log.append([{ event: { ...recorder, event_id: uuid('event 4'), event_type: 'session_end', stream_seq: 3, timestamp: at(300), recorded_at: at(310), capture: 'after', step_number: 2, outcome: 'success', facts: { reason: 'done', streams: { [stream]: 3 } } } }])
  return describe(log)
}

function describe(log: Example): object {
  const { pair, verifier } = parseSigningKey(log.key.secret, ORIGIN)
  const leaves = log.bytes.map(leafHash)
  const head = { origin: ORIGIN, size: leaves.length, root: treeRoot(leaves) }
  const signer = { name: verifier.name, keyId: verifier.keyId, sign: (message: Uint8Array) => Uint8Array.from(sign(null, message, pair.privateKey)) }
  const [n01, n23] = [nodeHash(leaves[0]!, leaves[1]!), nodeHash(leaves[2]!, leaves[3]!)]
  const random = fixed('wrap', 32)
  return {
    origin: ORIGIN,
    log_key: { seed: toHex(SEED), public_key: toHex(verifier.publicKey), key_id: verifier.keyId.toString(16).padStart(8, '0'), 'log.key': log.key.secret, 'log.pub': log.key.vkey },
    entries: log.bytes.map((bytes, i) => ({ index: i, bytes: fromUtf8(bytes), entry_hash: toBase64(leaves[i]!) })),
    first_prevs: Object.fromEntries([...new Set(log.entries.map(({ session_id }) => session_id))].map((id) => [id, firstPrev(ORIGIN, id)])),
    tree: { node_0_1: toHex(n01), node_2_3: toHex(n23), node_0_3: toHex(nodeHash(n01, n23)), root: toHex(head.root), inclusion_of_2: [leaves[3]!, n01, leaves[4]!].map(toHex) },
    checkpoint: { text: formatTreeHead(head), note: signCheckpoint(head, [signer]) },
    scope: {
      id: toHex(SCOPE.id), session_id: log.entries[1]!.session_id, k: 0, secret: toHex(SCOPE.secret), salt_key: toHex(log.saltKey), index_key: toHex(log.indexKey),
      kek: toHex(KEK), 'kek-1': formatSecretKey('kek-1', ORIGIN, KEK), wrap_random: toHex(random), wrapped: toHex(wrapSecret(SCOPE, { generation: 1, key: KEK }, ORIGIN, () => random)),
    },
    payloads: log.payloads,
    own_refs: log.entries.map((entry) => [...ownRefs(entry)].map(({ slot, position }) => `${slot}/${position}`)),
    archive: archiveOf(log, leaves, signCheckpoint(head, [signer])),
    bundle: bundleOf(log, leaves, signCheckpoint(head, [signer])),
    segments: log.segments.map(({ id, bytes, random: salt }) => ({ segment: id, random: toHex(salt), bytes: toHex(bytes), sha256: toHex(sha256(bytes)), leaf: toHex(leafHash(sha256(bytes))) })),
  }
}

/** The files of §13; of `checkpoint` and the segments, which stand in the example already, only the names. */
function archiveOf(log: Example, leaves: readonly Uint8Array[], checkpoint: string): object {
  const width = leaves.length
  const bundle = encodeBundle(log.bytes)
  const scope = `${log.entries[1]!.session_id}/0`
  return {
    checkpoint: toHex(sha256(utf8(checkpoint))),
    [`tile/0/000.p/${width}`]: toHex(concat(...leaves)),
    [`tile/entries/000.p/${width}`]: { length: bundle.length, sha256: toHex(sha256(bundle)) },
    [`segment/list/000.p/${width}`]: fromUtf8(formatList(log.segments.map(({ id, bytes }) => ({ segment: id, scope, hash: sha256(bytes) })))),
    segments: log.segments.map(({ id }) => segmentPath(id)),
  }
}

/** The document of §14: the agent's session, with two of its four payloads. */
function bundleOf(log: Example, leaves: readonly Uint8Array[], checkpoint: string): object {
  const shown = ['1 system_prompt', '2 input_messages']
  const text = formatBundle({
    format: 'counterfoil/bundle/v1', origin: ORIGIN, session_id: log.entries[1]!.session_id, checkpoint, keys: [log.key.vkey.trimEnd()],
    entries: log.bytes.map((bytes, index) => ({ index, entry: toBase64(bytes) })).slice(1),
    proof: [toBase64(leaves[0]!)],
    payloads: log.payloads.map(({ entry, slot, position, media, salt, text: content }) => ({
      index: entry, slot, position, media, ...(shown.includes(`${entry} ${slot}`) ? { salt: toBase64(fromHex(salt)), text: content } : { withheld: true as const }),
    })),
  })
  return { text, sha256: toHex(sha256(utf8(text))) }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(new URL('format-v1.json', import.meta.url), `${JSON.stringify(makeVectors(), null, 1)}\n`)
