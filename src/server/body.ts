// Bodies: read within their bounds, unpacked within theirs. A body that is too large is not read to its end, and one that unpacks to too much is not
// unpacked to its end.

import { gunzip, zstdDecompress } from 'node:zlib'
import type { Context } from 'hono'
import { HttpError } from './problem.ts'
import type { Limits } from './limits.ts'
import type { Env } from './route.ts'

export class Bodies {
  readonly #limits: Limits
  #held = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Bytes of bodies that are in memory now. */
  get held(): number {
    return this.#held
  }

  /** The unpacked body of a request, as long as `use` works with it. */
  async with<R>(c: Context<Env>, use: (body: Uint8Array) => Promise<R> | R): Promise<R> {
    let counted = 0
    const count = (bytes: number): void => {
      if (this.#held + bytes > this.#limits.held) throw new HttpError(503, 'busy', 'server: expected room for this body, and others fill it', 'send it again in a moment', { headers: { 'retry-after': '1' } })
      this.#held += bytes
      counted += bytes
    }
    try {
      const packed = await this.#read(c, count)
      const body = await this.#unpack(packed, c.req.header('content-encoding'))
      if (body !== packed) count(body.length)
      return await use(body)
    } finally {
      this.#held -= counted
    }
  }

  /** A JSON body. */
  json(c: Context<Env>): Promise<unknown> {
    mediaOf(c, ['application/json'])
    return this.with(c, (body) => parseJson(body))
  }

  async #read(c: Context<Env>, count: (bytes: number) => void): Promise<Uint8Array> {
    const most = this.#limits.body
    const declared = Number(c.req.header('content-length') ?? 0)
    if (declared > most) throw tooLarge(`at most ${most} bytes of body, got ${declared}`)
    const parts: Uint8Array[] = []
    let length = 0
    const { incoming } = c.env ?? {}
    const stream: AsyncIterable<Uint8Array> | null = incoming === undefined ? (c.req.raw.body as AsyncIterable<Uint8Array> | null) : incoming.iterator({ destroyOnReturn: false }) // a body that is too large gets its answer
    try {
      for await (const part of stream ?? []) {
        length += part.length
        if (length > most) throw tooLarge(`at most ${most} bytes of body, got more`)
        count(part.length)
        parts.push(part)
      }
    } catch (error) {
      if (error instanceof HttpError) throw error
      throw new HttpError(400, 'body_cut', 'server: expected the whole body, and the connection ended before', 'send it again', { cause: error })
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, length)
  }

  async #unpack(body: Uint8Array, encoding = 'identity'): Promise<Uint8Array> {
    const how = encoding.trim().toLowerCase()
    if (how === 'identity' || how === '') return body
    if (how !== 'gzip' && how !== 'x-gzip' && how !== 'zstd') throw new HttpError(415, 'unknown_encoding', `server: expected Content-Encoding gzip, zstd or identity, got ${JSON.stringify(how.slice(0, 64))}`, 'send it as one of these', { headers: { 'accept-encoding': 'gzip, zstd' } })
    return new Promise((resolve, reject) => {
      const options = { maxOutputLength: this.#limits.unpacked }
      const done = (error: NodeJS.ErrnoException | null, unpacked: Uint8Array): void => {
        if (error === null) resolve(unpacked)
        else if (error.code === 'ERR_BUFFER_TOO_LARGE') reject(tooLarge(`at most ${this.#limits.unpacked} bytes of unpacked body, got more`))
        else reject(new HttpError(400, 'bad_encoding', `server: expected a body in ${how}, and it does not unpack`, 'check what packs it, and that it was sent whole', { cause: error }))
      }
      if (how === 'zstd') zstdDecompress(body, options, done)
      else gunzip(body, options, done)
    })
  }
}

/** The media type of the body; HttpError 415 unless it is one of `known`. */
export function mediaOf(c: Context<Env>, known: readonly string[]): string {
  const type = (c.req.header('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase()
  if (known.includes(type)) return type
  throw new HttpError(415, 'unknown_media', `server: expected Content-Type ${known.join(' or ')}, got ${JSON.stringify(type.slice(0, 64))}`, 'name what the body is')
}

/** JSON in UTF-8, or HttpError 400. */
export function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch (cause) {
    throw new HttpError(400, 'bad_json', `server: expected JSON in UTF-8: ${(cause as Error).message.slice(0, 200)}`, 'check what writes it', { cause })
  }
}

function tooLarge(expected: string): HttpError {
  return new HttpError(413, 'too_large', `server: expected ${expected}`, 'send less at a time; large content goes into storage of your own, and where it is into the event', { headers: { connection: 'close' } })
}
