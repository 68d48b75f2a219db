// The rules of approvals and stops, enforced in the append transaction (docs/format.md §5.7): which call may use an approval, whose
// decision counts, and what a stopped session may no longer do. What is refused is on record all the same, and does not count.

import { equal, fromBase64, toHex, utf8 } from '../base/bytes.ts'
import { isSame, type Draft } from '../event/draft.ts'
import { ownRefs, type Entry } from '../event/entry.ts'
import { parseEntry } from '../event/parse.ts'
import { personsIn } from '../event/person.ts'
import type { StoreView } from '../store/contract.ts'
import { commit, digestOf } from '../vault/commitment.ts'
import type { Keyring } from '../vault/keyring.ts'
import type { Refused } from './batch.ts'
import { ContentReader } from './content.ts'
import type { Asked, LiveSession } from './live-session.ts'

/** Whoever records over HTTP is a principal of that name; a process on this machine is `local`. */
const LOCAL = 'local'
/** Somebody else than the agent's own process says who decided. */
const SIGNED_IN: ReadonlySet<unknown> = new Set(['api_key', 'oidc'])

/** Why a tool call must not happen: it is put on record as denied, and without the approval that it names. `now` is the ledger's clock. */
export function callRefusal(draft: Draft, live: LiveSession, now: number): Refused | undefined {
  if (live.stopped && draft.capture === 'before') return refused('session_stopped', `session ${live.session_id} was stopped by a person: ${String(draft.facts['tool_name'])} may not run`, 'ask who stopped it; begin a new session for what is still to be done')
  const link = draft.links?.['approval']
  const no = (code: string, why: string): Refused => refused(code, why, 'ask for a new approval')
  if (link === undefined) return draft.facts['approval'] === undefined ? undefined : no('approval_missing', 'the call names an approval by its number, and not by the event that gives it')
  const decision = live.known(link)
  if (decision?.event_type !== 'approval_decision' || decision.approval?.['decision'] !== 'approved') return no('approval_missing', `event ${link} is no approval on record in this session`)
  if (live.usedApprovals.has(decision.seq)) return no('approval_used', `the approval at seq ${decision.seq} was used already`)
  const asked = live.requestOf(String(decision.approval['request']))
  const input = draft.payloads['tool_input']
  const same = input !== undefined && isSame(input) ? live.known(input.same)?.seq : undefined
  if (asked === undefined || same !== asked.seq) return no('approval_other_input', 'the approval is for another input than the one of this call')
  const { tool_name, expires_at } = asked.facts
  if (tool_name !== draft.facts['tool_name']) return no('approval_other_tool', `the approval is for ${String(tool_name)}, not ${String(draft.facts['tool_name'])}`)
  if (typeof expires_at === 'string' && Date.parse(expires_at) < now) return no('approval_expired', `the approval expired at ${expires_at}`)
  const { settled, quorum, counted } = asked.settling
  if (settled?.decision === 'approved' && settled.seq !== decision.seq) return no('approval_missing', `the approval at seq ${decision.seq} is not the one that settled its request`)
  if (settled?.decision !== 'approved') return no('approval_missing', settled === undefined ? `expected ${quorum} people to approve, got ${counted.length}` : `the request was ${settled.decision}`)
  return undefined
}

/** What a decision is compared with: the transaction it is written in, and the log's keys. `persons` gives those of the session's own user, as keyed hashes. */
export interface DecisionContext { readonly view: StoreView; readonly keyring: Keyring; readonly now: number; readonly users: () => Promise<ReadonlySet<string>> }

/** A decision on its way in, with whose it is. */
export interface HandedDecision { readonly draft: Draft; readonly writer: string; readonly persons: readonly string[] }

/** Why a decision does not count: it is put on record so. */
export async function decisionRefusal({ draft, writer, persons }: HandedDecision, live: LiveSession, context: DecisionContext): Promise<Refused | undefined> {
  const { facts } = draft
  const asked = live.requestOf(String(facts['request']))
  if (asked === undefined) return refused('approval_unknown', `session ${live.session_id} has no request with the entry hash ${String(facts['request'])}`, 'counterfoil approvals lists the requests that wait')
  const { settled, quorum } = asked.settling
  if (settled !== undefined) return refused('approval_late', `the request was ${settled.decision} already, at seq ${settled.seq}`, LATE_NEXT)
  if (facts['decision'] === 'expired') return undefined
  const { expires_at } = asked.facts
  if (typeof expires_at === 'string' && Date.parse(expires_at) < context.now) return refused('approval_late', `the request expired at ${expires_at}`, LATE_NEXT)
  if (facts['decision'] !== 'approved') return undefined
  if (live.stopped) return refused('session_stopped', `session ${live.session_id} was stopped: nothing in it can be approved`, LATE_NEXT)
  if (live.state?.state === 'ended') return refused('approval_late', `session ${live.session_id} has ended`, LATE_NEXT)
  return (await ownRefusal(asked, { draft, writer, persons }, live, context)) ?? (quorum > 1 ? againRefusal(asked, { draft, writer, persons }, live, context) : undefined)
}

const LATE_NEXT = 'nothing is to be done: the act did not happen, unless the agent asks again'

/** Nobody decides about what was asked for them, or by them, whatever key they use. */
async function ownRefusal(asked: Asked, { draft, writer, persons }: HandedDecision, live: LiveSession, { keyring, users }: DecisionContext): Promise<Refused | undefined> {
  const no = (why: string): Refused => refused('approval_own', why, 'somebody else has to decide')
  const own = asked.writer !== LOCAL && writer === asked.writer
  if (own && (SIGNED_IN.has(draft.facts['assurance']) || asked.settling.quorum > 1)) return no(`${writer} asked, and cannot be who approves`)
  if (persons.includes(asked.writer) && asked.writer !== LOCAL) return no(`${asked.writer} asked, and cannot be who approves`)
  const agent = live.state?.agent_id
  if (agent !== undefined && agent !== '' && persons.includes(agent)) return no(`the agent ${agent} cannot approve its own acts`)
  const known = persons.length === 0 ? undefined : await users()
  if (known !== undefined && persons.some((person) => known.has(keyedHash(keyring, person)))) return no('the person the agent works for cannot approve')
  return undefined
}

/** One person is one of the quorum, however often they decide. */
async function againRefusal(asked: Asked, { persons }: HandedDecision, live: LiveSession, context: DecisionContext): Promise<Refused | undefined> {
  if (persons.length === 0) return refused('approval_nobody', 'the decision names nobody, and several people are asked for', 'say who decides')
  const mine = new Set(persons.map((person) => keyedHash(context.keyring, person)))
  for (const seq of asked.settling.counted) {
    const theirs = live.deciders.get(seq) ?? (await decidersOf(live, seq, context))
    if (theirs === undefined) return refused('approval_nobody', `it cannot be known any more who approved at seq ${seq}`, 'the agent has to ask again')
    live.deciders.set(seq, theirs)
    if ([...mine].some((hash) => theirs.has(hash))) return refused('approval_again', 'this person approved already, and somebody else has to', 'ask another approver')
  }
  return undefined
}

/** Who made the decision at `seq`, which is on record, as keyed hashes; undefined when that is not known, or was masked. */
async function decidersOf(live: LiveSession, seq: number, { view, keyring }: DecisionContext): Promise<ReadonlySet<string> | undefined> {
  const [row] = await view.sessionEntries(live.session_id, seq, 1)
  const text = row === undefined ? undefined : await storedText(view, keyring, parseEntry(row.entry).entry, 'identity')
  return text === undefined ? undefined : keyedHashes(keyring, personsIn(text))
}

/** The text of a payload that an entry brings, checked against its commitment; undefined when it is not there, or, unless `masked`, something was cut out of it. */
export async function storedText(view: StoreView, keyring: Keyring, entry: Entry, slot: string, masked = false): Promise<string | undefined> {
  const own = ownRefs(entry)
  const at = own.findIndex((one) => one.slot === slot)
  if (at === -1 || (!masked && own[at]!.ref.masked !== undefined)) return undefined
  const got = (await new ContentReader(view, keyring).payloads([entry]))[0]![at]
  if (got === undefined || !('bytes' in got) || !equal(commit(got.salt, digestOf(got.bytes)), fromBase64(own[at]!.ref.c))) return undefined
  return new TextDecoder().decode(got.bytes)
}

/** Persons as a ledger compares them. */
export function keyedHashes(keyring: Keyring, persons: readonly string[]): ReadonlySet<string> {
  return new Set(persons.map((person) => keyedHash(keyring, person)))
}

function keyedHash(keyring: Keyring, person: string): string {
  return toHex(keyring.fingerprint('subject', utf8(person)))
}

function refused(code: string, why: string, next: string): Refused {
  return { refused: { code, message: `ledger: ${why}`, next } }
}
