// C2SP tlog-policy: which logs are accepted, which witnesses are known, and how many of them make a quorum.
//   log <vkey> [<url>]
//   witness <name> <vkey> [<url>]
//   group <name> all|any|<k> <name>…
//   quorum <name>|none
// Ours, in comments that other readers skip: who runs a witness, since ten keys of one operator are one opinion.
//   #! organisation <name> <witness>…
//   #! organisations <n>            so many must have cosigned, besides the quorum
// A witness that no organisation line names is an organisation of its own only where there is no such line at all; beside them it counts for none.
// Names are compared as text of valid UTF-8; a file that is not UTF-8 is refused. Left out: ECDSA and ML-DSA keys.

import { toBase64 } from '../base/bytes.ts'
import { MisuseError, messageOf } from '../base/errors.ts'
import { openCheckpoint, type Checkpoint, type Cosigned } from './checkpoint.ts'
import { cosignatureVerifier } from './cosignature.ts'
import { ed25519Verifier, parseVerifierKey, type NoteVerifier } from './note.ts'

/** The longest policy, in bytes of its text, and the most lines of each kind. */
export const MAX_POLICY_BYTES = 262_144
export const MAX_POLICY_LINES = 256

export interface PolicyLog { readonly vkey: string; readonly url?: string; readonly verifier: NoteVerifier }
export interface PolicyWitness extends PolicyLog { readonly name: string }

/** A group: at least `k` of its members, which are names of witnesses and groups. */
export interface PolicyGroup { readonly name: string; readonly k: number; readonly members: readonly string[] }

export interface Policy {
  readonly logs: readonly PolicyLog[]
  readonly witnesses: readonly PolicyWitness[]
  readonly groups: readonly PolicyGroup[]
  /** The name of a witness or group, or `none`. */
  readonly quorum: string
  /** Who runs which witnesses, by name. */
  readonly organisations: ReadonlyMap<string, readonly string[]>
  /** How many organisations must have cosigned; 0 unless said. */
  readonly minOrganisations: number
}

/** What a checkpoint has of what a policy asks. */
export interface PolicyResult {
  /** Quorum reached, and enough organisations. */
  readonly satisfied: boolean
  readonly quorum: boolean
  /** The witnesses that cosigned, by their names in the policy, in its order, with the time of each. */
  readonly witnesses: readonly { readonly name: string; readonly time: number }[]
  /** How many organisations they are. */
  readonly organisations: number
}

/** The policy in `text`; a MisuseError `policy_malformed` names the line. */
export function parsePolicy(text: string): Policy {
  if (text.length > MAX_POLICY_BYTES) throw malformed(0, `at most ${MAX_POLICY_BYTES} bytes`)
  const reader = new PolicyReader()
  text.split('\n').forEach((line, i, lines) => {
    if (i === lines.length - 1 && line !== '') throw malformed(i + 1, 'a newline at the end')
    if (/[\u0000-\u0008\u000b-\u001f\u007f\ufffd]/.test(line)) throw malformed(i + 1, 'UTF-8 without control characters but tabs')
    reader.line(line.split(/[ \t]+/).filter((item) => item !== ''), i + 1)
  })
  return reader.policy()
}

class PolicyReader {
  readonly #logs: PolicyLog[] = []
  readonly #witnesses: PolicyWitness[] = []
  readonly #groups: PolicyGroup[] = []
  readonly #organisations = new Map<string, readonly string[]>()
  readonly #names = new Set<string>()
  readonly #members = new Set<string>()
  readonly #placed = new Set<string>()
  readonly #logKeys = new Set<string>()
  readonly #witnessKeys = new Set<string>()
  #quorum: string | undefined
  #minOrganisations: number | undefined
  readonly #later: { readonly at: number; readonly name: string }[] = []

  line(items: readonly string[], at: number): void {
    const [keyword, ...rest] = items
    if (keyword === undefined || (keyword.startsWith('#') && keyword !== '#!')) return
    switch (keyword === '#!' ? `#! ${rest.shift() ?? ''}` : keyword) {
      case 'log': return this.#log(rest, at)
      case 'witness': return this.#witness(rest, at)
      case 'group': return this.#group(rest, at)
      case 'quorum': return this.#setQuorum(rest, at)
      case '#! organisation': return this.#organisation(rest, at)
      case '#! organisations': return this.#organisationCount(rest, at)
      default: throw malformed(at, `log, witness, group, quorum, or a comment, got ${quoted(items.slice(0, 2).join(' '))}`)
    }
  }

  policy(): Policy {
    if (this.#quorum === undefined) throw malformed(0, 'a quorum line')
    for (const { at, name } of this.#later) if (!this.#witnesses.some((one) => one.name === name)) throw malformed(at, `names of witnesses, got ${quoted(name)}`)
    const there = this.#organisations.size === 0 ? this.#witnesses.length : this.#organisations.size
    const minOrganisations = this.#minOrganisations ?? 0
    if (minOrganisations > there) throw malformed(0, `at most ${there} organisations to be asked for, as there are, got ${minOrganisations}`)
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum, organisations: this.#organisations, minOrganisations }
  }

  #log([vkey = '', url, ...more]: readonly string[], at: number): void {
    if (vkey === '' || more.length > 0) throw malformed(at, 'log VKEY [URL]')
    const verifier = this.#key(vkey, this.#logKeys, ed25519Verifier, at)
    this.#logs.push({ vkey, verifier, ...(url === undefined ? {} : { url }) })
    checkCount(this.#logs.length, 'logs', at)
  }

  #witness([name = '', vkey = '', url, ...more]: readonly string[], at: number): void {
    if (vkey === '' || more.length > 0) throw malformed(at, 'witness NAME VKEY [URL]')
    this.#define(name, at)
    const verifier = this.#key(vkey, this.#witnessKeys, cosignatureVerifier, at)
    this.#witnesses.push({ name, vkey, verifier, ...(url === undefined ? {} : { url }) })
    checkCount(this.#witnesses.length, 'witnesses', at)
  }

  #group([name = '', rule = '', ...members]: readonly string[], at: number): void {
    if (members.length === 0) throw malformed(at, 'group NAME all|any|K NAME…')
    for (const member of members) {
      if (!this.#names.has(member)) throw malformed(at, `names defined above, got ${quoted(member)}`)
      if (this.#members.has(member)) throw malformed(at, `each name in one group once, got ${quoted(member)} again`)
      this.#members.add(member)
    }
    this.#define(name, at)
    const k = rule === 'all' ? members.length : rule === 'any' ? 1 : countOf(rule)
    if (k === undefined || k < 1 || k > members.length) throw malformed(at, `all, any, or 1 to ${members.length}, got ${quoted(rule)}`)
    this.#groups.push({ name, k, members })
    checkCount(this.#groups.length, 'groups', at)
  }

  #setQuorum([name = '', ...more]: readonly string[], at: number): void {
    if (name === '' || more.length > 0) throw malformed(at, 'quorum NAME')
    if (this.#quorum !== undefined) throw malformed(at, 'one quorum line, got a second')
    if (name !== 'none' && !this.#names.has(name)) throw malformed(at, `a name defined above, got ${quoted(name)}`)
    this.#quorum = name
  }

  #organisation([name = '', ...witnesses]: readonly string[], at: number): void {
    if (witnesses.length === 0) throw malformed(at, '#! organisation NAME WITNESS…')
    if (this.#organisations.has(name)) throw malformed(at, `an organisation once, got ${quoted(name)} again`)
    for (const witness of witnesses) {
      if (this.#placed.has(witness)) throw malformed(at, `a witness in one organisation once, got ${quoted(witness)} again`)
      this.#placed.add(witness)
      this.#later.push({ at, name: witness })
    }
    this.#organisations.set(name, witnesses)
    checkCount(this.#organisations.size, 'organisations', at)
  }

  #organisationCount([text = '', ...more]: readonly string[], at: number): void {
    const count = countOf(text)
    if (count === undefined || more.length > 0) throw malformed(at, '#! organisations N')
    if (this.#minOrganisations !== undefined) throw malformed(at, 'one such line, got a second')
    this.#minOrganisations = count
  }

  #define(name: string, at: number): void {
    if (name === 'none') throw malformed(at, 'a name other than none')
    if (this.#names.has(name)) throw malformed(at, `names that differ, got ${quoted(name)} again`)
    this.#names.add(name)
  }

  /** The verifier of `vkey`. Keys are the same when their bytes are, whatever their names. */
  #key(vkey: string, seen: Set<string>, verifierOf: (vkey: string) => NoteVerifier, at: number): NoteVerifier {
    let verifier: NoteVerifier
    let bytes: string
    try {
      verifier = verifierOf(vkey)
      bytes = toBase64(parseVerifierKey(vkey).publicKey)
    } catch (cause) {
      throw malformed(at, `a key for this use: ${messageOf(cause)}`, cause)
    }
    if (seen.has(bytes)) throw malformed(at, `keys that differ, got that of ${quoted(verifier.name)} again`)
    seen.add(bytes)
    return verifier
  }
}

/** Opens `note` as a checkpoint of one of the policy's logs, or of `verifiers` where it lists none, with its witnesses as cosigners. VerifyErrors as `openCheckpoint`. */
export function openUnderPolicy(policy: Policy, note: string | Uint8Array, verifiers: readonly NoteVerifier[] = policy.logs.map(({ verifier }) => verifier)): Checkpoint {
  return openCheckpoint(note, verifiers, { cosigners: policy.witnesses.map(({ verifier }) => verifier) })
}

/** What `cosignatures`, all verified, amount to under `policy`. */
export function evaluatePolicy(policy: Policy, cosignatures: readonly Cosigned[]): PolicyResult {
  const witnesses = policy.witnesses.flatMap(({ name, verifier }) => {
    const found = cosignatures.find((one) => one.name === verifier.name && one.keyId === verifier.keyId && one.time > 0)
    return found === undefined ? [] : [{ name, time: found.time }]
  })
  const cosigned = new Set(witnesses.map(({ name }) => name))
  const reached = new Set(cosigned)
  for (const { name, k, members } of policy.groups) if (members.filter((member) => reached.has(member)).length >= k) reached.add(name) // a group stands after its members
  const quorum = policy.quorum === 'none' || reached.has(policy.quorum)
  const organisations = policy.organisations.size === 0 ? cosigned.size : [...policy.organisations.values()].filter((names) => names.some((name) => cosigned.has(name))).length
  return { satisfied: quorum && organisations >= policy.minOrganisations, quorum, witnesses, organisations }
}

function countOf(text: string): number | undefined {
  return /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : undefined
}

function checkCount(count: number, what: string, at: number): void {
  if (count > MAX_POLICY_LINES) throw malformed(at, `at most ${MAX_POLICY_LINES} ${what}`)
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80))
}

function malformed(line: number, expected: string, cause?: unknown): MisuseError {
  const error = new MisuseError('policy_malformed', `log: policy${line === 0 ? '' : ` line ${line}`}: expected ${expected}`, 'docs/witness.md has the form')
  if (cause !== undefined) error.cause = cause
  return error
}
