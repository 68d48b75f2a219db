// A fetch Response whose body is seen as the caller reads it. Nothing is read that the caller does not read, nothing is held
// for them: each read is one read of the source, with the same chunks, the same errors and the same order.
//
// `new Response` would lose `url`, `type` and the original `headers`, so these are put back as own properties. Measured on a
// `response.clone()` read beside the caller instead: its second branch pulls the whole body into memory (`tee` has no common
// backpressure). What the caller gets is of the same class as what fetch gave.
//
// How a body can end, and what is promised: read to its end, failed, or cancelled: at once. Dropped without being read: when
// the garbage collector notices, which may be late or never; the connection is then given back too. Still open when the
// process exits by itself: at `exit`. Killed by a signal: nothing is told, the call stays without a result.

/** How a body ended. */
export type BodyEnd =
  | { readonly how: 'complete' }
  | { readonly how: 'error'; readonly error: unknown }
  | { readonly how: 'cancelled' | 'abandoned' | 'exit' | 'unobservable' }

export interface BodyObserver {
  /** Bytes on their way to the caller: to be read before it returns, they belong to the caller afterwards. */
  chunk(bytes: Uint8Array): void
  /** Told once, before the caller learns of the end. */
  end(end: BodyEnd): void
}

/** The part of a web Response we rely on; node-fetch's, with its Node stream for a body, passes unobserved. */
type Body = NonNullable<Response['body']>
type Reader = ReadableStreamDefaultReader<Uint8Array>

/** How much of an answer that the caller cancels is still read for the record, when `finish` asks for it, and for how long. */
const MAX_DRAIN_BYTES = 64 * 1024
const MAX_DRAIN_MS = 1000

/**
 * `response`, observed. `drain` says that a body which the caller cancels is read on in the background, up to 64 KiB and 1 s:
 * for the bodies of errors, which SDKs throw away before they retry.
 */
export function observeResponse(response: Response, observer: BodyObserver, drain = false): Response {
  const body = response.body
  if (body === null) {
    observer.end({ how: 'complete' })
    return response
  }
  const observed = observable(response, body) ? observeBody(response, body, new BodyTap(observer, drain)) : undefined
  if (observed === undefined) observer.end({ how: 'unobservable' })
  return observed ?? response
}

function observable(response: Response, body: Body): boolean {
  return typeof body?.getReader === 'function' && !body.locked && !response.bodyUsed
}

function observeBody(response: Response, body: Body, tap: BodyTap): Response | undefined {
  const source = {
    start: (controller: Controller) => tap.start(controller),
    pull: (controller: Controller) => tap.pull(controller),
    cancel: (reason: unknown) => tap.cancel(reason),
  }
  // High-water mark 0: a source chunk is read when the caller reads, not before.
  const stream = isByteStream(body) ? new ReadableStream({ type: 'bytes', ...source }, { highWaterMark: 0 }) : new ReadableStream(source, { highWaterMark: 0 })
  let copy: Response
  try {
    copy = new (response.constructor as typeof Response)(stream)
  } catch {
    return undefined // a Response of somebody else's that cannot be made anew
  }
  tap.open(body, stream)
  return disguise(copy, response)
}

function isByteStream(body: Body): boolean {
  try {
    body.getReader({ mode: 'byob' }).releaseLock()
    return true
  } catch {
    return false
  }
}

const KEPT = ['url', 'status', 'statusText', 'ok', 'type', 'redirected', 'headers'] as const

/** Gives `copy` what `original` says of itself; its clones too. */
function disguise(copy: Response, original: Response): Response {
  for (const name of KEPT) Object.defineProperty(copy, name, { value: original[name], configurable: true, enumerable: false })
  const clone = copy.clone
  Object.defineProperty(copy, 'clone', { value: () => disguise(clone.call(copy), copy), configurable: true, enumerable: false, writable: true })
  return copy
}

interface Controller {
  readonly byobRequest?: { respond(bytes: number): void } | null
  enqueue(chunk: Uint8Array): void
  close(): void
  error(error: unknown): void
}

// Knows the observed stream by weak references only: that it is collected is how an abandoned body shows.
class BodyTap {
  readonly #observer: BodyObserver
  readonly #drain: boolean
  #reader: Reader | undefined
  #controller: WeakRef<Controller> | undefined
  #ended = false

  constructor(observer: BodyObserver, drain: boolean) {
    this.#observer = observer
    this.#drain = drain
  }

  start(controller: Controller): void {
    this.#controller = new WeakRef(controller)
  }

  open(body: Body, stream: object): void {
    this.#reader = body.getReader() as Reader
    openTaps.open(this)
    abandoned.register(stream, this, this)
    // An error that comes while nobody reads, as when the caller aborts, reaches the observed stream as it would the original.
    this.#reader.closed.catch((error: unknown) => {
      this.end({ how: 'error', error })
      this.#controller?.deref()?.error(error)
    })
  }

  async pull(controller: Controller): Promise<void> {
    for (;;) {
      const { done, value } = await this.#read()
      if (done) {
        this.end({ how: 'complete' })
        controller.close()
        controller.byobRequest?.respond(0)
        return
      }
      this.#show(value)
      if (value?.length === 0) continue // a byte stream cannot hold it
      controller.enqueue(value)
      return
    }
  }

  async #read(): ReturnType<Reader['read']> {
    try {
      return await this.#reader!.read()
    } catch (error) {
      this.end({ how: 'error', error })
      throw error
    }
  }

  #show(value: unknown): void {
    if (this.#ended) return
    try {
      if (value instanceof Uint8Array) this.#observer.chunk(value)
      else if (typeof value === 'string') this.#observer.chunk(new TextEncoder().encode(value))
    } catch {
      // The record must not break the answer; the observer says in its result what it missed.
    }
  }

  cancel(reason: unknown): Promise<void> {
    if (this.#drain && !this.#ended) {
      void this.#readOn()
      return Promise.resolve()
    }
    this.end({ how: 'cancelled' })
    return this.#reader!.cancel(reason)
  }

  async #readOn(): Promise<void> {
    abandoned.unregister(this) // the caller is done with it; we are not
    const timer = setTimeout(() => this.#giveUp('cancelled'), MAX_DRAIN_MS)
    timer.unref?.()
    try {
      for (let length = 0; length <= MAX_DRAIN_BYTES; ) {
        const { done, value } = await this.#reader!.read()
        if (done) return this.end({ how: 'complete' })
        this.#show(value)
        length += value?.length ?? 0
      }
      this.#giveUp('cancelled')
    } catch (error) {
      this.end({ how: 'error', error })
    } finally {
      clearTimeout(timer)
    }
  }

  #giveUp(how: 'cancelled' | 'abandoned'): void {
    if (this.#ended) return
    this.end({ how })
    this.#reader!.cancel().catch(() => undefined) // it has failed already, or nobody is left to be told
  }

  abandon(): void {
    this.#giveUp('abandoned')
  }

  end(end: BodyEnd): void {
    if (this.#ended) return
    this.#ended = true
    openTaps.delete(this)
    abandoned.unregister(this)
    try {
      this.#observer.end(end)
    } catch {
      // As in #show.
    }
  }
}

const abandoned = new FinalizationRegistry<BodyTap>((tap) => tap.abandon())

/** The taps whose end has not been told; those that the process's own end leaves behind are told then. */
class OpenTaps extends Set<BodyTap> {
  #listening = false

  open(tap: BodyTap): void {
    this.add(tap)
    if (this.#listening || typeof process === 'undefined') return
    this.#listening = true
    process.prependOnceListener('exit', () => { // before others close what we record in
      for (const tap of this) tap.end({ how: 'exit' })
    })
  }
}

const openTaps = new OpenTaps()
