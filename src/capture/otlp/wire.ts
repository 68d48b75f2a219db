// The wire format of protobuf (protobuf.dev/programming-guides/encoding), as far as OTLP needs it: reading within bounds, and writing the few
// numbers and texts of an answer. There are no schemas here; `protobuf.ts` says which fields there are.

import { fromUtf8, utf8 } from '../../base/bytes.ts'

/** How a field's value is written: a varint, 8 bytes, a length and as many bytes, a group (begin and end; no longer in use), 4 bytes. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, group: 3, end: 4, fixed32: 5 } as const

/** Groups within groups of fields that are skipped. */
const MAX_GROUPS = 16

/** What does not read: cut short, too long, no UTF-8. Each reading throws it. */
export class WireFault extends Error {}

/** Reads one message from its beginning to its end. */
export class WireReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get ended(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The number of the next field, from 1, and its wire type. */
  field(): { readonly number: number; readonly type: number } {
    const tag = this.uint64()
    const number = Number(tag >> 3n)
    if (tag > 0xffff_ffffn || number === 0) throw new WireFault(`expected a field from 1 to ${2 ** 29 - 1}, got ${tag >> 3n}`)
    return { number, type: Number(tag & 7n) }
  }

  /** A varint of at most 64 bits. */
  uint64(): bigint {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) { // nearly always it ends here, and no bigint is made on the way
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return BigInt(value)
    }
    let large = BigInt(value)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      large |= BigInt(byte & 0x7f) << shift
      if (byte >= 0x80) continue
      if (large >> 64n !== 0n) break
      return large
    }
    throw new WireFault('expected a varint of at most 64 bits, got a longer one')
  }

  int64(): bigint {
    return BigInt.asIntN(64, this.uint64())
  }

  /** A number of 32 bits; of a longer one its low bits, as protobuf has it. */
  uint32(): number {
    return Number(BigInt.asUintN(32, this.uint64()))
  }

  bool(): boolean {
    return this.uint64() !== 0n
  }

  fixed64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8), true)
  }

  fixed32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  /** A view of the bytes, not a copy. */
  bytes(): Uint8Array {
    const length = this.uint64()
    if (length > BigInt(this.#bytes.length)) throw new WireFault(`expected ${length} bytes, got ${this.#bytes.length - this.#at}`)
    const from = this.#take(Number(length))
    return this.#bytes.subarray(from, this.#at)
  }

  text(): string {
    const bytes = this.bytes()
    try {
      return fromUtf8(bytes)
    } catch {
      throw new WireFault('expected text in UTF-8')
    }
  }

  /** Passes by the value of a field that nobody wants. */
  skip(number: number, type: number, depth = 0): void {
    if (type === WIRE.varint) this.uint64()
    else if (type === WIRE.fixed64) this.#take(8)
    else if (type === WIRE.bytes) this.bytes()
    else if (type === WIRE.fixed32) this.#take(4)
    else if (type === WIRE.group && depth < MAX_GROUPS) {
      for (;;) {
        const inner = this.field()
        if (inner.type !== WIRE.end) this.skip(inner.number, inner.type, depth + 1)
        else if (inner.number === number) return
        else throw new WireFault(`expected the end of group ${number}, got that of ${inner.number}`)
      }
    } else throw new WireFault(`expected a wire type that is in use, got ${type} for field ${number}`)
  }

  #byte(): number {
    return this.#bytes[this.#take(1)]!
  }

  /** Where the next `count` bytes begin. */
  #take(count: number): number {
    const from = this.#at
    if (from + count > this.#bytes.length) throw new WireFault(`expected ${count} bytes, got ${this.#bytes.length - from}`)
    this.#at += count
    return from
  }
}

/** Field `number` as a varint. */
export function varintField(number: number, value: bigint): number[] {
  return [...varint(BigInt(number << 3 | WIRE.varint)), ...varint(value)]
}

/** Field `number` as bytes, which a text and a message are too. */
export function bytesField(number: number, value: string | readonly number[]): number[] {
  const bytes = typeof value === 'string' ? utf8(value) : value
  return [...varint(BigInt(number << 3 | WIRE.bytes)), ...varint(BigInt(bytes.length)), ...bytes]
}

function varint(value: bigint): number[] {
  const bytes: number[] = []
  for (let left = BigInt.asUintN(64, value); ; left >>= 7n) {
    if (left < 0x80n) return [...bytes, Number(left)]
    bytes.push(Number(left & 0x7fn) | 0x80)
  }
}
