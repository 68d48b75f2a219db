// Server-Sent Events as in the HTML standard §9.2.6, over byte chunks cut anywhere. Leaves out `id` and `retry`, which concern
// reconnecting; unlike the standard it hands out an event that the end of the body cut short of its blank line, because it came.

/** One event. `event` is absent when the sender gave no name. */
export interface ServerSentEvent { readonly event?: string; readonly data: string }

/** 64 MiB: what a payload may hold. */
const MAX_EVENT_LENGTH = 64 * 2 ** 20

/** Reads events out of chunks. Malformed UTF-8 becomes U+FFFD, as in every client. */
export class SseParser {
  readonly #maxLength: number
  readonly #decoder = new TextDecoder('utf-8') // drops a byte order mark at the start
  #afterReturn = false // the last chunk ended with CR, whose LF may come
  #line: string[] = [] // pieces of the line that has not ended
  #lineLength = 0
  #event: string | undefined
  #data: string[] = []
  #dataLength = 0
  #tooLong = false
  #dropped = 0

  /** `maxEventLength` bounds, in UTF-16 units, what is held for one event; a longer one is dropped and counted. */
  constructor(maxEventLength: number = MAX_EVENT_LENGTH) {
    this.#maxLength = maxEventLength
  }

  /** How many events were longer than allowed. */
  get dropped(): number {
    return this.#dropped
  }

  /** The events that `chunk` completes. */
  push(chunk: Uint8Array): ServerSentEvent[] {
    return this.#read(this.#decoder.decode(chunk, { stream: true }))
  }

  /** The events that the end of the body completes: at most one. */
  end(): ServerSentEvent[] {
    return this.#read(`${this.#decoder.decode()}\n\n`)
  }

  #read(text: string): ServerSentEvent[] {
    if (text === '') return []
    const events: ServerSentEvent[] = []
    let start = this.#afterReturn && text[0] === '\n' ? 1 : 0
    this.#afterReturn = text.endsWith('\r')
    const lineEnd = /\r\n?|\n/g
    lineEnd.lastIndex = start
    for (let found = lineEnd.exec(text); found !== null; found = lineEnd.exec(text)) {
      this.#hold(text.slice(start, found.index))
      start = lineEnd.lastIndex
      const event = this.#lineLength === 0 ? this.#endEvent() : this.#endLine()
      if (event !== undefined) events.push(event)
    }
    this.#hold(text.slice(start))
    return events
  }

  #hold(piece: string): void {
    if (piece === '') return
    this.#lineLength += piece.length
    if (this.#dataLength + this.#lineLength > this.#maxLength) {
      this.#tooLong = true
      this.#line = []
      this.#data = []
    }
    if (!this.#tooLong) this.#line.push(piece)
  }

  #endLine(): undefined {
    const line = this.#line.join('')
    this.#line = []
    this.#lineLength = 0
    const colon = line.indexOf(':')
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'event') this.#event = value
    if (name === 'data') {
      this.#data.push(value)
      this.#dataLength += value.length + 1 // with its line end, so that empty lines are bounded too
    }
  }

  #endEvent(): ServerSentEvent | undefined {
    const [event, data] = [this.#event, this.#data]
    if (this.#tooLong) this.#dropped++
    this.#event = undefined
    this.#data = []
    this.#dataLength = 0
    this.#tooLong = false
    if (data.length === 0) return undefined
    return { ...(event !== undefined && { event }), data: data.join('\n') }
  }
}
