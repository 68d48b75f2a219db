// What belongs together: a call with its result, an act with its approval. One pass over events in the order of the log, of any
// number of sessions; what comes out keeps that order, so it waits behind a call whose result has not come yet.

import { REFUSED_OUTCOME } from './approval.ts'
import type { ViewEvent } from './view.ts'

/** An event that stands for itself, with what was joined to it. */
export interface Joined {
  readonly event: ViewEvent
  readonly result?: ViewEvent
  /** Of a tool_call: the approval_request it rests on. Of an approval_request: nothing. */
  readonly request?: ViewEvent
  /** Of a tool_call and of an approval_request: the decisions, in order. */
  readonly decisions: readonly ViewEvent[]
  /** Whether an approval_request was followed by its tool_call, which then has it. */
  readonly taken: boolean
}

/** What waits. Once it is settled it is what it was then, however long it goes on to wait behind others: `told`. */
type Open = { -readonly [name in keyof Joined]: Joined[name] } & { decisions: ViewEvent[]; settled: boolean; gone: boolean; told?: Joined }

const RESULT_OF: { readonly [type: string]: string } = { llm_result: 'llm_call', tool_result: 'tool_call' }

/** Feed it events with `push`, then call `end`; each returns what is complete, in order. Memory: what waits, and a few words per call. */
export class CallJoiner {
  #waiting: Open[] = []
  #head = 0
  /** calls without result by event_id; those that have one; results that came before their call by the call's event_id */
  readonly #calls = new Map<string, Open>()
  readonly #answered = new Set<string>()
  readonly #early = new Map<string, Open>()
  /** by session: the newest tool_call and approval_request of each call_id, decisions by seq, requests by entry hash */
  readonly #byCallId = new Map<string, Open>()
  readonly #decisions = new Map<string, ViewEvent>()
  readonly #requests = new Map<string, Open>()

  push(event: ViewEvent): Joined[] {
    switch (event.event_type) {
      case 'llm_call':
      case 'tool_call':
        this.#call(event)
        break
      case 'llm_result':
      case 'tool_result':
        this.#result(event)
        break
      case 'approval_request':
        this.#request(event)
        break
      case 'approval_decision':
        this.#decision(event)
        break
      default:
        this.#wait(event, true)
    }
    return this.#complete(false)
  }

  /** What still waits, as it is: calls without a result, requests without an act, results without a call. */
  end(): Joined[] {
    return this.#complete(true)
  }

  #wait(event: ViewEvent, settled: boolean): Open {
    const open: Open = { event, decisions: [], taken: false, settled: false, gone: false }
    if (settled) settle(open)
    this.#waiting.push(open)
    return open
  }

  #call(event: ViewEvent): void {
    const call = this.#wait(event, false)
    this.#calls.set(event.event_id, call)
    const early = this.#early.get(event.event_id)
    if (event.event_type === 'tool_call') {
      const request = this.#requestOf(event)
      if (request !== undefined) take(call, request)
      if (early === undefined && typeof event['call_id'] === 'string') this.#byCallId.set(key(event, `tool_call/${event['call_id']}`), call)
    }
    if (early === undefined) return
    this.#early.delete(event.event_id)
    early.gone = true
    this.#answer(call, early.event)
  }

  /** By the approval it names, else by the provider's id of the call. */
  #requestOf(call: ViewEvent): Open | undefined {
    if (typeof call['approval'] === 'number') {
      const decision = this.#decisions.get(key(call, String(call['approval'])))
      return decision === undefined ? undefined : this.#requests.get(String(decision['request']))
    }
    const request = typeof call['call_id'] === 'string' ? this.#byCallId.get(key(call, `approval_request/${call['call_id']}`)) : undefined
    return request?.taken === false ? request : undefined
  }

  #result(event: ViewEvent): void {
    const { parent_event_id: parent } = event
    const type = RESULT_OF[event.event_type]!
    const named = typeof event['call_id'] === 'string' ? this.#byCallId.get(key(event, `${type}/${event['call_id']}`)) : undefined
    const call = parent === null ? named : this.#calls.get(parent)
    if (call?.event.event_type === type) this.#answer(call, event)
    else if (parent === null || call !== undefined || this.#answered.has(parent) || this.#early.has(parent)) this.#wait(event, true)
    else this.#early.set(parent, this.#wait(event, false))
  }

  #request(event: ViewEvent): void {
    const request = this.#wait(event, false)
    this.#requests.set(event.entry_hash, request)
    const asking = event.parent_event_id === null ? undefined : this.#calls.get(event.parent_event_id)
    if (asking?.event.event_type === 'tool_call') take(asking, request)
    else if (typeof event['call_id'] === 'string') this.#byCallId.set(key(event, `approval_request/${event['call_id']}`), request)
  }

  #decision(event: ViewEvent): void {
    this.#decisions.set(key(event, String(event.seq)), event)
    const request = this.#requests.get(String(event['request']))
    request?.decisions.push(event)
    // Nothing follows a refusal.
    if (request !== undefined && event['decision'] !== 'approved' && event.outcome !== REFUSED_OUTCOME) settle(request)
    this.#wait(event, true)
  }

  #complete(all: boolean): Joined[] {
    const done: Joined[] = []
    for (; this.#head < this.#waiting.length; this.#head++) {
      const open = this.#waiting[this.#head]!
      if (!all && !open.settled && !open.gone) break
      if (!open.gone) done.push(open.told ?? toldOf(open))
    }
    // Cut off what went out once it is the larger part, so that a queue of any length costs a constant for each event.
    if (this.#head > this.#waiting.length / 2) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
    return done
  }

  /** What is answered is forgotten but for its id: it may hold much, and nothing else joins it. */
  #answer(call: Open, result: ViewEvent): void {
    call.result = result
    settle(call)
    this.#calls.delete(call.event.event_id)
    this.#answered.add(call.event.event_id)
    const callId = key(call.event, `tool_call/${String(call.event['call_id'])}`)
    if (this.#byCallId.get(callId) === call) this.#byCallId.delete(callId)
  }
}

function take(call: Open, request: Open): void {
  call.request = request.event
  call.decisions = request.decisions // one array: a decision that comes later reaches both
  request.taken = true
  settle(request)
}

/** Nothing that comes later changes it. */
function settle(open: Open): void {
  if (open.settled) return
  open.settled = true
  open.told = toldOf(open)
}

function toldOf({ event, result, request, decisions, taken }: Open): Joined {
  return { event, ...(result === undefined ? {} : { result }), ...(request === undefined ? {} : { request }), decisions: [...decisions], taken }
}

function key(event: ViewEvent, rest: string): string {
  return `${event.session_id}/${rest}`
}
