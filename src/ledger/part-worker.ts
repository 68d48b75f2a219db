// A thread of a verification: one part of the log's sessions, or what the database finds wrong with itself, read in a snapshot of its own that
// shows what the snapshots of the others show.

import { parentPort, workerData } from 'node:worker_threads'
import type { Store, StoreView } from '../store/contract.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import { openKeyring, type Keyring } from '../vault/keyring.ts'
import type { PartEnd, PageReport } from '../verify/part.ts'
import { Part } from '../verify/part.ts'
import { databaseCheck, partEvidenceOf, snapshotPrint } from './evidence.ts'
import { errorData, type ErrorData } from './message.ts'
import type { Restored } from '../verify/rollback.ts'

/** What a thread is told at its start. `part` is absent in the one that checks the database. */
export interface PartStart {
  readonly path: string
  readonly origin: string
  readonly part?: { readonly n: number; readonly of: number; readonly restored?: Restored }
  /** The state folder with the log's keys; absent where payloads are not opened. The passphrase crosses the thread here and nowhere else. */
  readonly keys?: { readonly home: string; readonly passphrase?: string }
}

export type ToPart =
  /** Take a snapshot, and say what it shows. */
  | { readonly kind: 'snapshot' }
  /** The snapshots agree: begin. Or end. */
  | { readonly kind: 'begin'; readonly total: number }
  | { readonly kind: 'more' }
  | { readonly kind: 'finish' }

export type FromPart =
  | { readonly kind: 'ready' }
  | { readonly kind: 'snapshot'; readonly print: string }
  | { readonly kind: 'page'; readonly page: PageReport }
  | { readonly kind: 'pages_done' }
  | { readonly kind: 'sealed'; readonly done: number }
  | { readonly kind: 'end'; readonly end: PartEnd }
  | { readonly kind: 'checked'; readonly found: readonly string[] }
  | { readonly kind: 'failed'; readonly error: ErrorData }

/** Reports on their way; a thread that is faster than the one that puts them together waits. */
const AHEAD = 8

const port = parentPort!
const start = workerData as PartStart
const inbox: ToPart[] = []
let wake: (() => void) | undefined

function say(message: FromPart): void {
  port.postMessage(message)
}

async function next(): Promise<ToPart> {
  for (;;) {
    const message = inbox.shift()
    if (message !== undefined) return message
    await new Promise<void>((resolve) => (wake = resolve))
  }
}

async function work(store: Store, keyring: Keyring | undefined): Promise<void> {
  say({ kind: 'ready' })
  let message = await next()
  // `snapshot` until all of them show the same, then `begin`
  while (message.kind === 'snapshot') {
    message = await store.read(async (view) => {
      say({ kind: 'snapshot', print: await snapshotPrint(view) })
      const answer = await next()
      if (answer.kind !== 'begin') return answer
      await (start.part === undefined ? check(view) : read(view, keyring, answer.total))
      return answer
    })
  }
}

async function check(view: StoreView): Promise<void> {
  say({ kind: 'checked', found: await databaseCheck(view) })
}

async function read(view: StoreView, keyring: Keyring | undefined, total: number): Promise<void> {
  const part = new Part(partEvidenceOf(view, keyring, start.origin, start.part!), start.part)
  let left = AHEAD
  for await (const page of part.pages(total)) {
    say({ kind: 'page', page })
    for (left--; left === 0 || inbox.length > 0; left++) if ((await next()).kind !== 'more') return
  }
  say({ kind: 'pages_done' })
  for (let message = await next(); message.kind !== 'finish'; message = await next());
  say({ kind: 'end', end: await part.end((done) => say({ kind: 'sealed', done })) })
}

port.on('message', (message: ToPart) => {
  inbox.push(message)
  wake?.()
})

async function main(): Promise<void> {
  try {
    const keyring = start.keys === undefined ? undefined : openKeyring(start.origin, start.keys.home, { passphrase: start.keys.passphrase })
    const store = await openSqliteStore(start.path, { readOnly: true })
    try {
      await work(store, keyring)
    } finally {
      await store.close()
    }
  } catch (error) {
    say({ kind: 'failed', error: errorData(error) })
  }
  port.close()
}

void main()
