// The ledger's worker thread: the agent's event loop never waits for a disk. It drains the recording thread's spool as it grows (what is
// there now is the batch; what arrives during the fsync is the next), answers waits and reads, and holds the keys.

import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { decodeDraft } from '../event/draft.ts'
import { checkDraft } from '../event/parse.ts'
import { LEDGER_TYPES } from '../event/vocabulary.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { deadBytes, removeSpool } from '../spool/folder.ts'
import { spoolFile } from '../spool/scrub.ts'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parsePolicy } from '../log/policy.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import type { Handed, Placed, Refused } from './batch.ts'
import { checkNotGone } from './gone.ts'
import { Ledger, MAX_BATCH_BYTES, MAX_BATCH_EVENTS } from './ledger.ts'
import { errorData, GLANCES, type ErrorData, type FromWorker, type Handing, type Start, type ToWorker } from './message.ts'
import { LedgerService } from './service.ts'
import { loadSigner } from './signer-module.ts'
import { Witnessing } from './witnessing.ts'

interface Opened { readonly ledger: Ledger; readonly service: LedgerService }

/** Answers kept for waits that come after the event. */
const ANSWERS_KEPT = 20_000

/** How soon a failed drain is tried again when nobody waits for it; twice as long each time, up to the second. */
const RETRY_MS = 500
/**
 * After something came, how long until the next look when nobody waits: a batch is what came meanwhile. The recording thread posts a wake
 * only when a look found nothing: it costs that thread more than writing the event does, and a commit for each event half a processor.
 */
const LINGER_MS = 10
const MAX_RETRY_MS = 10_000

const port = parentPort!
const start = workerData as Start
const signerUrl = start.signer
const flag = new Int32Array(start.flag)
const policy = start.policy === undefined ? undefined : parsePolicy(start.policy)
const answers = new Map<string, Placed | Refused>()
/** What is waited for, by event id. */
const waits = new Map<string, { readonly id: number; readonly spool: string; readonly offset: number }[]>()
const drafts: Uint8Array[] = []
/** This process's spools in the order of writing, the last one is written now; and how far each is in the log. */
const spools: { readonly id: string; drained: number; events: number }[] = (start.spools === undefined ? [''] : [...start.spools.left, start.spools.own]).map(newSpool)
/** Whether the spool that is written now must have a file: something was accepted into it. */
let written = false
let again = false
let draining: Promise<ErrorData | undefined> | undefined
let retry: NodeJS.Timeout | undefined
let lingering: NodeJS.Timeout | undefined
let retryMs = RETRY_MS
let opening: Promise<Opened> | undefined
let witnessing: Witnessing | undefined
/** Whether the log was open in this process before. */
let began = start.began === true

function say(message: FromWorker): void {
  port.postMessage(message)
}

function open(): Promise<Opened> {
  opening ??= Ledger.open({
    open: async () => {
      if (began) checkNotGone(start.path)
      return openSqliteStore(start.path)
    },
    home: start.home, report: (error) => say({ kind: 'report', error: errorData(error) }),
    passphrase: start.passphrase, signer: signerUrl === undefined ? undefined : (origin) => loadSigner(signerUrl, origin),
    ...(start.spools === undefined ? {} : { spools: { folder: start.spools.folder, key: start.spools.key } }),
  }).then(async (ledger) => {
    try {
      witnessing = policy === undefined ? undefined : new Witnessing(ledger, { policy, report: (error) => say({ kind: 'report', error: errorData(error) }), witnessed: (size) => say({ kind: 'witnessed', size }) })
    } catch (error) {
      await ledger.close()
      throw error
    }
    began = start.path !== ':memory:'
    say({ kind: 'open', origin: ledger.origin, left: left() })
    return { ledger, service: new LedgerService(ledger, start.mark, witnessing, policy, start.path === ':memory:' ? {} : { path: start.path, ...(start.home === undefined ? {} : { home: start.home }), passphrase: start.passphrase }) }
  })
  opening.catch((error: unknown) => {
    opening = undefined // the next wait or call tries again: a full disk may have room then
    say({ kind: 'failed', error: errorData(error), left: left() })
  })
  return opening
}

function left(): number {
  return start.spools === undefined ? 0 : deadBytes(start.spools.folder)
}

/** An event has its answer: whoever waits for it hears at once, not when the backlog is empty. */
function answered(event_id: string, answer: Placed | Refused): void {
  const waiting = waits.get(event_id)
  waits.delete(event_id)
  if (waiting !== undefined) for (const { id } of waiting) tellAnswer(id, answer)
  // a refused approval always has somebody who waits, if not yet; of anything else nobody may ever hear
  else if ('refused' in answer && !answer.refused.code.startsWith('approval_')) say({ kind: 'report', error: { type: 'store', ...answer.refused } })
  answers.set(event_id, answer)
  if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value!)
}

function tellAnswer(id: number, answer: Placed | Refused): void {
  if ('refused' in answer) say({ kind: 'refused', id, error: { type: 'store', ...answer.refused, refused: true } })
  else say({ kind: 'placed', id, placed: answer })
}

/** What requests handed in around the spool, in the order of their coming. */
const handed: { readonly id: number; readonly all: readonly Handed[]; readonly bytes: number }[] = []
let appending: Promise<void> | undefined

/** All drafts of one request, or an error for all of them: nothing of it is stored where one is malformed. */
function take({ id, writer, bytes, lengths, stamped }: Extract<ToWorker, { kind: 'append' }>): void {
  const all: Handed[] = []
  try {
    let at = 0
    for (const [i, length] of lengths.entries()) {
      const draft = decodeDraft(bytes.subarray(at, (at += length)))
      checkDraft(draft)
      if (writer !== 'ledger' && LEDGER_TYPES.has(draft.event_type)) throw new MisuseError('ledger_only', `ledger: expected an event that a recorder may hand in, got ${draft.event_type}`, 'only the ledger itself writes it')
      all.push({ draft, writer, stamped: stamped[i] === true })
    }
  } catch (error) {
    say({ kind: 'error', id, error: error instanceof MisuseError ? errorData(error) : { type: 'misuse', code: 'bad_draft', message: `ledger: ${(error as Error).message}`, next: 'send drafts as docs/files.md describes them' } })
    return
  }
  handed.push({ id, all, bytes: bytes.length })
  appending ??= appendHanded()
}

/** What came while a commit was made is the next one. */
async function appendHanded(): Promise<void> {
  while (handed.length > 0) {
    await turn() // what waits in the port comes first
    const batch: typeof handed = [handed.shift()!]
    let [events, bytes] = [batch[0]!.all.length, batch[0]!.bytes]
    while (handed.length > 0 && events + handed[0]!.all.length <= MAX_BATCH_EVENTS && bytes + handed[0]!.bytes <= MAX_BATCH_BYTES) {
      const next = handed.shift()!
      batch.push(next)
      events += next.all.length
      bytes += next.bytes
    }
    try {
      const { ledger } = await open()
      const done = await ledger.append(batch.flatMap(({ all }) => all))
      progress(ledger) // who is answered may look at once
      let at = 0
      for (const { id, all } of batch) say({ kind: 'value', id, value: all.map(({ draft: { event_id } }): Handing[number] => ({ event_id, ...done[at++]! })) })
    } catch (error) {
      for (const { id } of batch) say({ kind: 'error', id, error: errorData(error) })
    }
  }
  appending = undefined
}

/** Puts what is accepted by now into the log. Resolves when that was tried, with what is wrong if it is not there. */
function drain(): Promise<ErrorData | undefined> {
  again = true
  return (draining ??= drainAll())
}

async function drainAll(): Promise<ErrorData | undefined> {
  clearTimeout(retry)
  clearTimeout(lingering)
  retry = undefined
  try {
    const { ledger } = await open()
    let size: number | undefined
    do {
      again = false
      size = ledger.head?.size
      await drainOnce(ledger)
      if (ledger.head?.size !== size || again) continue
      Atomics.store(flag, 0, 0) // what comes from now on wakes us; what came before it is found here
      await drainOnce(ledger)
    } while (again)
    if (ledger.head?.size !== size) {
      Atomics.store(flag, 0, 1)
      lingering = setTimeout(() => void drain(), LINGER_MS)
    }
    retryMs = RETRY_MS
    return undefined
  } catch (error) {
    retry = setTimeout(() => {
      retryMs = Math.min(2 * retryMs, MAX_RETRY_MS)
      void drain()
    }, retryMs)
    const data = errorData(error)
    fail(data)
    return data
  } finally {
    draining = undefined
  }
}

function newSpool(id: string): { readonly id: string; drained: number; events: number } {
  return { id, drained: 0, events: 0 }
}

async function drainOnce(ledger: Ledger): Promise<void> {
  if (start.spools === undefined) await drainDrafts(ledger)
  else await drainSpools(ledger, start.spools.folder)
  progress(ledger)
  await settle(ledger)
}

async function drainDrafts(ledger: Ledger): Promise<void> {
  while (drafts.length > 0) {
    const batch = drafts.slice(0, MAX_BATCH_EVENTS).map((bytes) => ({ draft: decodeDraft(bytes), writer: 'local' }))
    const done = await ledger.append(batch)
    const own = spools[0]!
    for (const { length } of drafts.splice(0, batch.length)) own.drained += length
    own.events += batch.length
    for (const [i, { draft }] of batch.entries()) answered(draft.event_id, done[i]!)
    progress(ledger)
  }
}

async function drainSpools(ledger: Ledger, folder: string): Promise<void> {
  for (let i = 0; i < spools.length; ) {
    const own = spools[i]!
    const current = i === spools.length - 1
    const path = join(folder, own.id)
    if (!existsSync(path)) {
      if (current && !written) return
      checkNotGone(start.path)
      if (existsSync(path)) continue // the disk came back between the two looks
      // Its writer goes on into a file without a name: say so, and let it make a new one.
      say({ kind: 'missing', spool: own.id })
      if (current) throw new StoreError('spool_missing', `ledger: the spool ${path} was removed while it was in use`, 'what was accepted into it and is not in the log is lost; keep cleaners away from the folder')
      spools.splice(i, 1)
      continue
    }
    const count = (event_id: string, answer: Placed | Refused): void => {
      own.events++
      answered(event_id, answer)
    }
    try {
      const spool = spoolFile(path)
      if (spool !== undefined) own.drained = await ledger.drain(spool, count, (offset) => {
        own.drained = offset
        progress(ledger)
      })
    } catch (error) {
      if (error instanceof StoreError && error.code === 'spool_missing') continue // it went while it was looked at: whether it is gone, the next look says
      throw error
    }
    if (current || spools[i] !== own) {
      i++
      continue
    }
    spools.splice(i, 1)
    try {
      removeSpool(path)
      await ledger.forgetSpool(own.id)
    } catch (error) {
      say({ kind: 'report', error: errorData(error) }) // what comes after it must not wait for that
    }
  }
}

function progress({ head }: Ledger): void {
  witnessing?.grown()
  if (head !== undefined) say({ kind: 'progress', size: head.size, checkpoint: head.checkpoint, spools })
}

/** Answers the waits whose event must be there by now, and was answered before they came. */
async function settle(ledger: Ledger): Promise<void> {
  for (const [event_id, waiting] of waits) {
    const due = waiting.filter(({ spool, offset }) => (spools.find(({ id }) => id === spool)?.drained ?? Infinity) >= offset)
    if (due.length === 0) continue
    const answer = answers.get(event_id) ?? (await ledger.answerOf(event_id))
    const left = (waits.get(event_id) ?? []).filter((one) => !due.includes(one))
    if (left.length === 0) waits.delete(event_id)
    else waits.set(event_id, left)
    for (const { id } of due) {
      if (answer !== undefined) tellAnswer(id, answer)
      else say({ kind: 'error', id, error: { type: 'store', code: 'not_recorded', message: `ledger: event ${event_id} is not on record`, next: 'run counterfoil doctor' } })
    }
  }
}

function fail(error: ErrorData): void {
  const failed = [...waits.values()].flat()
  waits.clear()
  for (const { id } of failed) say({ kind: 'error', id, error })
  if (failed.length === 0) say({ kind: 'report', error })
}

async function call(id: number, method: string, args: readonly unknown[]): Promise<void> {
  try {
    const failed = GLANCES.has(method) ? undefined : await drain()
    if (method === 'close') await appending
    const { service, ledger } = await open()
    if (method === 'close') {
      clearTimeout(retry)
      clearTimeout(lingering)
      await witnessing?.close()
      await ledger.close()
      say(failed === undefined ? { kind: 'value', id, value: undefined } : { kind: 'error', id, error: failed })
      port.close()
      return
    }
    if (method === 'flush' && failed !== undefined) say({ kind: 'error', id, error: failed })
    else {
      const size = ledger.head?.size
      const value = await service.call(method, args)
      if (ledger.head?.size !== size) progress(ledger)
      say({ kind: 'value', id, value })
    }
  } catch (error) {
    say({ kind: 'error', id, error: errorData(error) })
  }
}

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'draft':
      drafts.push(message.draft)
      if (retry === undefined) void drain()
      return
    case 'spool':
      spools.push(newSpool(message.own))
      written = false
      void drain()
      return
    case 'wake':
      written = true
      if (retry === undefined) void drain() // else the log was not to be had a moment ago
      return
    case 'wait':
      if (message.offset > 0) written = true
      waits.set(message.event_id, [...(waits.get(message.event_id) ?? []), message])
      void drain()
      return
    case 'append': return take(message)
    case 'call':
      void call(message.id, message.method, message.args)
  }
})

void drain()
