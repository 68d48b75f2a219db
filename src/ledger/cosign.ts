// Asks the witnesses of a policy to cosign a trail's newest checkpoint, all at once, and keeps what they signed beside the keys. A witness
// that cannot be asked is reported and does not stop the others; one that saw another history is an alarm.

import { CounterfoilError, messageOf, MisuseError, StoreError, VerifyError } from '../base/errors.ts'
import { parseCosignature } from '../log/cosignature.ts'
import { ed25519Verifier, parseNote, type NoteSignature } from '../log/note.ts'
import { evaluatePolicy, openUnderPolicy, type Policy, type PolicyResult, type PolicyWitness } from '../log/policy.ts'
import { tileHashReader } from '../log/reader.ts'
import type { Store } from '../store/contract.ts'
import type { KeptKeys, Keyring } from '../vault/keyring.ts'
import { submitCheckpoint, withCosignatures } from '../witness/client.ts'
import { storeTiles } from './proof.ts'
import { openOwn } from './remembered.ts'
import { followLog } from './restored.ts'

/** What one witness did. `alarm`: it saw another history of this log. */
export interface WitnessReport {
  readonly name: string
  readonly url?: string
  /** seconds since 1970 */
  readonly time?: number
  readonly error?: { readonly code: string; readonly message: string; readonly next: string; readonly alarm: boolean }
}

/** What the newest checkpoint has now of what the policy asks. */
export interface CosignReport extends PolicyResult {
  readonly origin: string
  readonly size: number
  /** The size of the cosigned checkpoint that is kept; absent when there is none. */
  readonly kept?: number
  readonly asked: readonly WitnessReport[]
}

/** MisuseError when nobody can be asked under `policy` to cosign this log. */
export function checkAskable(policy: Policy, keyring: Keyring): void {
  if (policy.logs.length > 0 && !policy.logs.some(({ vkey }) => vkey === keyring.vkey)) throw new MisuseError('policy_log', `witness: the policy does not name this log's key ${keyring.vkey}`, 'add it with a log line')
  if (!policy.witnesses.some(({ url }) => url !== undefined)) throw new MisuseError('no_witness', 'witness: no witness of the policy has a URL', 'write it at the end of its line: witness NAME VKEY URL')
}

/** The kept checkpoint that satisfies `policy`, with its size; undefined when there is none. */
export function witnessedNote(keyring: Keyring, policy: Policy): { readonly note: string; readonly size: number } | undefined {
  const note = keyring.readCosigned()
  const judged = judge(keyring, policy, note)
  return judged?.satisfied === true ? { note: note!, size: judged.size } : undefined
}

/** The size of the kept checkpoint and its newest cosignature's time, whoever made that: only a policy says whose count. Undefined when there is none of this log. */
export function cosignedAt(keyring: KeptKeys): { readonly size: number; readonly at: string } | undefined {
  const note = keyring.readCosigned()
  if (note === undefined) return undefined
  try {
    const times = parseNote(note).signatures.flatMap(({ signature }) => parseCosignature(signature)?.time ?? [])
    return times.length === 0 ? undefined : { size: openOwn(keyring, note).size, at: new Date(Math.max(...times) * 1000).toISOString() }
  } catch (error) {
    if (!(error instanceof CounterfoilError)) throw error
    return undefined
  }
}

/** Collects cosignatures under `policy`. MisuseError `policy_log` when the policy is not for this log; what single witnesses do is in the report. */
export async function cosign(store: Store, keyring: Keyring, policy: Policy, timeoutMs: number): Promise<CosignReport> {
  const note = await newestNote(store)
  followLog(keyring, note) // a rotation that was stopped on its way
  checkAskable(policy, keyring)
  const results = await Promise.all(policy.witnesses.map((witness) => ask(store, keyring, witness, note, timeoutMs)))
  const signatures = results.flatMap(({ signatures }) => signatures)
  const alarmed = results.some(({ report }) => report.error?.alarm === true)
  const { now, kept } = keepBetter(keyring, policy, signatures.length === 0 ? undefined : withCosignatures(note, signatures), alarmed)
  return { ...(now ?? evaluatePolicy(policy, [])), origin: keyring.origin, size: openOwn(keyring, note).size, ...(kept === undefined ? {} : { kept: kept.size }), asked: results.map(({ report }) => report) }
}

async function newestNote(store: Store): Promise<string> {
  const head = await store.read((view) => view.head())
  if (head === undefined) throw new StoreError('no_log', `witness: ${store.name} holds no log`, 'name another file')
  return head.checkpoint
}

async function ask(store: Store, keyring: Keyring, { name, url, verifier }: PolicyWitness, checkpoint: string, timeoutMs: number): Promise<{ report: WitnessReport; signatures: NoteSignature[] }> {
  if (url === undefined) return { report: { name, error: { code: 'no_url', message: 'the policy names no URL for it', next: 'write it at the end of its line', alarm: false } }, signatures: [] }
  try {
    const { size } = openOwn(keyring, checkpoint)
    const reader = { readHashes: (nodes: Parameters<ReturnType<typeof tileHashReader>['readHashes']>[0]) => store.read((view) => tileHashReader(size, storeTiles(view, size)).readHashes(nodes)) }
    const signatures = await submitCheckpoint({ url, cosigners: [verifier], checkpoint, verifiers: [ed25519Verifier(keyring.vkey)], reader, timeoutMs })
    return { report: { name, url, time: parseCosignature(signatures[0]!.signature)!.time }, signatures }
  } catch (error) {
    if (!(error instanceof CounterfoilError)) throw error
    // another process may have appended and submitted since we read: then the log here is no longer behind
    const newest = error.code === 'witness_ahead' ? await newestNote(store) : checkpoint
    if (newest !== checkpoint) return { report: { name, url, error: { code: 'moved', message: 'another process submitted a newer checkpoint meanwhile', next: 'submit again', alarm: false } }, signatures: [] }
    return { report: { name, url, error: { code: error.code, message: messageOf(error), next: error.next, alarm: error instanceof VerifyError } }, signatures: [] }
  }
}

type Judged = (PolicyResult & { readonly size: number }) | undefined

/**
 * Keeps `note` beside the keys, unless it has less of what the policy asks than the one kept before, or covers fewer entries, or a witness is
 * `alarmed`: a log that was cut off or rewritten may find another that never saw more of it.
 */
function keepBetter(keyring: Keyring, policy: Policy, note: string | undefined, alarmed: boolean): { now: Judged; kept: Judged } {
  const before = judge(keyring, policy, keyring.readCosigned())
  const now = judge(keyring, policy, note)
  if (note === undefined || now === undefined || (before?.satisfied === true && (alarmed || !now.satisfied || before.size > now.size))) return { now, kept: before }
  keyring.writeCosigned(note)
  return { now, kept: now }
}

function judge(keyring: Keyring, policy: Policy, note: string | undefined): Judged {
  if (note === undefined) return undefined
  try {
    const { size, cosignatures } = openUnderPolicy(policy, note, keyring.verifiers())
    return { ...evaluatePolicy(policy, cosignatures), size }
  } catch (error) {
    if (!(error instanceof CounterfoilError)) throw error
    return undefined // what does not open is worth nothing, and may be replaced
  }
}
