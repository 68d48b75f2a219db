// The ledger's worker thread: the agent's event loop never waits for a disk. It drains the recording thread's spool as it grows (what is
// there now is the batch; what arrives during the fsync is the next), answers waits and reads, and holds the keys.

import { parentPort, workerData } from 'node:worker_threads'
import { decodeDraft } from '../event/draft.ts'
import { spoolFile } from '../spool/scrub.ts'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openSqliteStore } from '../store/sqlite.ts'
import type { Placed, Refused } from './append.ts'
import { Ledger, MAX_BATCH_EVENTS } from './ledger.ts'
import { errorData, type ErrorData, type FromWorker, type Start, type ToWorker } from './message.ts'
import { LedgerService } from './service.ts'

/** Answers kept for waits that come after the event. */
const ANSWERS_KEPT = 20_000

/** How soon a failed drain is tried again when nobody waits for it; twice as long each time, up to the second. */
const RETRY_MS = 500
const MAX_RETRY_MS = 10_000

const port = parentPort!
const start = workerData as Start
const flag = new Int32Array(start.flag)
const answers = new Map<string, Placed | Refused>()
const waits: { id: number; event_id: string; offset: number }[] = []
const drafts: Uint8Array[] = []
let drained = 0
let again = false
let draining: Promise<ErrorData | undefined> | undefined
let retry: NodeJS.Timeout | undefined
let retryMs = RETRY_MS
let opening: Promise<{ ledger: Ledger; service: LedgerService }> | undefined

function say(message: FromWorker): void {
  port.postMessage(message)
}

function open(): Promise<{ ledger: Ledger; service: LedgerService }> {
  opening ??= Ledger.open({
    open: () => openSqliteStore(start.path), home: start.home, report: (error) => say({ kind: 'report', error: errorData(error) }),
    ...(start.spools === undefined ? {} : { spools: { folder: start.spools.folder, key: start.spools.key } }),
  }).then((ledger) => {
    say({ kind: 'open', origin: ledger.origin })
    return { ledger, service: new LedgerService(ledger, start.mark) }
  })
  opening.catch((error: unknown) => {
    opening = undefined // the next wait or call tries again: a full disk may have room then
    say({ kind: 'failed', error: errorData(error) })
  })
  return opening
}

function answered(event_id: string, answer: Placed | Refused): void {
  answers.set(event_id, answer)
  if (answers.size > ANSWERS_KEPT) answers.delete(answers.keys().next().value!)
}

/** Puts what is accepted by now into the log. Resolves when that was tried, with what is wrong if it is not there. */
function drain(): Promise<ErrorData | undefined> {
  again = true
  return (draining ??= drainAll())
}

async function drainAll(): Promise<ErrorData | undefined> {
  clearTimeout(retry)
  retry = undefined
  try {
    do {
      again = false
      Atomics.store(flag, 0, 0)
      const { ledger } = await open()
      const before = drained
      if (start.spools === undefined) await drainDrafts(ledger)
      else await drainSpool(ledger, start.spools.folder, start.spools.own)
      const head = await ledger.read((view) => view.head())
      if (head !== undefined && (drained !== before || before === 0)) say({ kind: 'progress', size: head.size, checkpoint: head.checkpoint, drained })
      await settle(ledger)
    } while (again)
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

async function drainDrafts(ledger: Ledger): Promise<void> {
  while (drafts.length > 0) {
    const batch = drafts.slice(0, MAX_BATCH_EVENTS).map((bytes) => ({ draft: decodeDraft(bytes), writer: 'local' }))
    const done = await ledger.append(batch)
    drafts.splice(0, batch.length)
    for (const [i, { draft }] of batch.entries()) answered(draft.event_id, done[i]!)
    drained += batch.length
  }
}

async function drainSpool(ledger: Ledger, folder: string, own: string): Promise<void> {
  const path = join(folder, own)
  if (!existsSync(path)) return
  const spool = spoolFile(path)
  if (spool !== undefined) drained = await ledger.drain(spool, answered)
}

/** Answers the waits whose event must be there by now. */
async function settle(ledger: Ledger): Promise<void> {
  for (let i = 0; i < waits.length; ) {
    const { id, event_id, offset } = waits[i]!
    let answer = answers.get(event_id)
    if (answer === undefined && drained < offset) {
      i++
      continue
    }
    waits.splice(i, 1)
    answer ??= await ledger.find(event_id)
    if (answer === undefined) say({ kind: 'error', id, error: { type: 'store', code: 'not_recorded', message: `ledger: event ${event_id} is not on record`, next: 'run counterfoil doctor' } })
    else if ('refused' in answer) say({ kind: 'refused', id, error: { type: 'store', ...answer.refused, refused: true } })
    else say({ kind: 'placed', id, placed: answer })
  }
}

function fail(error: ErrorData): void {
  const failed = waits.splice(0)
  for (const { id } of failed) say({ kind: 'error', id, error })
  if (failed.length === 0) say({ kind: 'report', error })
}

async function call(id: number, method: string, args: readonly unknown[]): Promise<void> {
  try {
    const failed = await drain()
    const { service, ledger } = await open()
    if (method === 'close') {
      clearTimeout(retry)
      await ledger.close()
      say(failed === undefined ? { kind: 'value', id, value: undefined } : { kind: 'error', id, error: failed })
      port.close()
      return
    }
    if (method === 'flush' && failed !== undefined) say({ kind: 'error', id, error: failed })
    else say({ kind: 'value', id, value: await service.call(method, args) })
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
    case 'wake':
      if (retry === undefined) void drain() // else the log was not to be had a moment ago
      return
    case 'wait':
      waits.push(message)
      void drain()
      return
    case 'call':
      void call(message.id, message.method, message.args)
  }
})

void drain()
