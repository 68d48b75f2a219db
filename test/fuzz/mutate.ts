// Changed inputs out of right ones. Bytes are flipped, cut, repeated, spliced with those of another seed and overwritten with what parsers
// are known to stumble over; JSON is changed as a tree and written again, so that what checks the spelling is passed.

/** Repeatable chance: sfc32 over a seed. */
export class Chance {
  #a: number
  #b: number
  #c: number
  #n = 1

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = 0x9e3779b9
    this.#c = 0x243f6a88
    for (let i = 0; i < 12; i++) this.next()
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    const t = (this.#a + this.#b + this.#n) | 0
    this.#n = (this.#n + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + t | 0
    return t >>> 0
  }

  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n)
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!
  }
}

/** What is longer is cut: speed decides how much a run sees. */
export const MAX_INPUT_BYTES: number = 128 * 1024

const encoder = new TextEncoder()

// U+F8FF stands for a lone surrogate where an input is text (see `textOf`).
const WORDS = [
  '', '\n', '\n\n', '\r\n', '\r', '\0', '\u0085', '\u2028', '\ufeff', '\ufffd', '\u{f8ff}', '\u2014 ', '=', '==', '+', '/', ' ', '  ', '\t', ',', ':', '"', '\\', '\\u0000', '\\ud800', '\\u003c', '<', '</script>', '<!--',
  '0', '-0', '00', '1', '-1', '256', '65535', '65536', '4294967295', '4294967296', '9007199254740991', '9007199254740992', '18446744073709551616', '1e309', '1e-400', '0x10', '1.5', 'NaN', 'Infinity',
  'null', 'true', '{}', '[]', '[[', ']]', '{"a":', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', 'data: ', 'data:', 'event: ', 'old ', 'index ', 'extra ', 'tile/', 'x001/', '.p/', 'quorum none\n', '#! organisations 1\n', 'A'.repeat(300), '[masked:',
].map((word) => encoder.encode(word))
const NUMBERS = [0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256, 257, 1023, 1024, 4096, 65_535, 65_536, 1_048_576, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]

/** `seed` with one to eight changes. */
export function mutated(seed: Uint8Array, others: readonly Uint8Array[], chance: Chance): Uint8Array {
  let bytes: Uint8Array = seed.slice(0, MAX_INPUT_BYTES)
  const changes = 1 + (chance.below(3) === 0 ? chance.below(8) : 0)
  for (let i = 0; i < changes; i++) bytes = changedOnce(bytes, others, chance)
  return bytes.length > MAX_INPUT_BYTES ? bytes.subarray(0, MAX_INPUT_BYTES) : bytes
}

function changedOnce(bytes: Uint8Array, others: readonly Uint8Array[], chance: Chance): Uint8Array {
  const at = chance.below(bytes.length + 1)
  const length = Math.min(bytes.length - at, 1 + chance.below(chance.of([1, 4, 32, 1024])))
  switch (chance.below(11)) {
    case 0: return changedAt(bytes, at, (byte) => byte ^ (1 << chance.below(8)))
    case 1: return changedAt(bytes, at, () => chance.below(256))
    case 2: return changedAt(bytes, at, (byte) => byte + chance.of([-1, 1]))
    case 3: return replaced(bytes, at, length, new Uint8Array())
    case 4: return replaced(bytes, at, 0, repeated(bytes.subarray(at, at + length), 1 + chance.below(chance.of([2, 8, 64]))))
    case 5: return replaced(bytes, at, chance.below(3) === 0 ? 0 : length, repeated(chance.of(WORDS), chance.below(8) === 0 ? 1 + chance.below(500) : 1))
    case 6: return withNumber(bytes, at, chance)
    case 7: {
      const other = chance.of(others)
      const from = chance.below(other.length + 1)
      return replaced(bytes, at, length, other.subarray(from, from + 1 + chance.below(256)))
    }
    case 8: return bytes.slice(0, at)
    case 9: return movedLine(bytes, chance)
    default: return decimalChanged(bytes, chance)
  }
}

function changedAt(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const out = bytes.slice()
  if (at < out.length) out[at] = change(out[at]!)
  return out
}

function replaced(bytes: Uint8Array, at: number, length: number, by: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - length + by.length)
  out.set(bytes.subarray(0, at))
  out.set(by, at)
  out.set(bytes.subarray(at + length), at + by.length)
  return out
}

function repeated(bytes: Uint8Array, times: number): Uint8Array {
  const count = Math.max(1, Math.min(times, Math.floor(MAX_INPUT_BYTES / Math.max(1, bytes.length))))
  const out = new Uint8Array(bytes.length * count)
  for (let i = 0; i < count; i++) out.set(bytes, i * bytes.length)
  return out
}

/** A length field of 1, 2, 4 or 8 bytes, overwritten. */
function withNumber(bytes: Uint8Array, at: number, chance: Chance): Uint8Array {
  const out = bytes.slice()
  const width = chance.of([1, 2, 4, 8])
  if (at + width > out.length) return out
  const value = BigInt(chance.of(NUMBERS))
  for (let i = 0; i < width; i++) out[at + width - 1 - i] = Number((value >> BigInt(8 * i)) & 255n)
  return out
}

function movedLine(bytes: Uint8Array, chance: Chance): Uint8Array {
  const lines = linesOf(bytes)
  const [from, to] = [chance.below(lines.length), chance.below(lines.length + 1)]
  const out = lines.slice()
  if (chance.below(3) === 0) out.splice(to, 0, lines[from]!)
  else out.splice(to > from ? to - 1 : to, 0, ...out.splice(from, 1))
  return joined(out)
}

/** Lines with their newlines. */
function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = []
  for (let at = 0; at <= bytes.length; ) {
    const end = bytes.indexOf(0x0a, at)
    lines.push(bytes.subarray(at, end === -1 ? bytes.length : end + 1))
    at = end === -1 ? bytes.length + 1 : end + 1
  }
  return lines
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/** A decimal in a text, replaced by another. */
function decimalChanged(bytes: Uint8Array, chance: Chance): Uint8Array {
  const isDigit = (at: number): boolean => bytes[at]! >= 0x30 && bytes[at]! <= 0x39
  let at = chance.below(bytes.length + 1)
  while (at < bytes.length && !isDigit(at)) at++
  let end = at
  while (end < bytes.length && isDigit(end)) end++
  if (at === end) return bytes.slice()
  return replaced(bytes, at, end - at, encoder.encode(String(chance.of(NUMBERS))))
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Bytes as the text of a text parser; where the mutation put U+F8FF there is a lone surrogate, which no bytes could say. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes).replaceAll('\u{f8ff}', '\ud83d')
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

const KEYS = ['__proto__', 'constructor', 'toString', '', 'a', 'v', 'same', 'add', 'base', 'keep', 'content', 'type', 'index', 'withheld', 'text', 'n', '\u0000', '\ud800', 'k'.repeat(2_000)]

/** JSON text with one to six changes of its tree; what is no JSON is changed as bytes. */
export function mutatedJson(seed: Uint8Array, others: readonly Uint8Array[], chance: Chance, write: (value: unknown) => string = (value) => JSON.stringify(value)): Uint8Array {
  if (chance.below(4) === 0) return mutated(seed, others, chance)
  try {
    let value = JSON.parse(decoder.decode(seed)) as Json
    const times = 1 + chance.below(chance.of([1, 3, 6]))
    for (let i = 0; i < times; i++) value = changedTree(value, chance)
    return encoder.encode(write(value)).subarray(0, 4 * MAX_INPUT_BYTES)
  } catch {
    return mutated(seed, others, chance)
  }
}

function changedTree(root: Json, chance: Chance): Json {
  const holder = { root } as { [key: string]: Json }
  const places: { parent: { [key: string]: Json } | Json[]; key: string }[] = []
  const visit = (parent: { [key: string]: Json } | Json[], key: string, depth: number): void => {
    if (places.length > 5_000) return
    places.push({ parent, key })
    const value = (parent as { [key: string]: Json })[key]!
    if (typeof value === 'object' && value !== null && depth < 40) for (const each of Object.keys(value)) visit(value, each, depth + 1)
  }
  visit(holder, 'root', 0)
  const { parent, key } = chance.of(places)
  const target = parent as { [key: string]: Json }
  const other = chance.of(places)
  const otherValue = (other.parent as { [key: string]: Json })[other.key]!
  switch (chance.below(8)) {
    case 0: {
      if (Array.isArray(parent)) parent.splice(Number(key), 1)
      else delete target[key]
      break
    }
    case 1: setOwn(target, key, hostile(target[key]!, chance)); break
    case 2: setOwn(target, key, hostile(target[key]!, chance)); break
    case 3: setOwn(target, key, structuredClone(otherValue)); break
    case 4: {
      if (Array.isArray(parent)) for (let i = chance.below(chance.of([2, 4, 300])); i >= 0; i--) parent.splice(Number(key), 0, structuredClone(parent[Number(key)]!))
      else setOwn(target, chance.of(KEYS), structuredClone(otherValue))
      break
    }
    case 5: {
      const value = target[key]
      if (Array.isArray(value)) value.push(structuredClone(otherValue))
      else if (typeof value === 'object' && value !== null) setOwn(value, chance.of(KEYS), hostile(otherValue, chance))
      break
    }
    case 6: {
      const value = target[key]
      if (typeof value === 'number') setOwn(target, key, chance.of([value + 1, value - 1, -value, value * 2, chance.of(NUMBERS)]))
      else if (typeof value === 'string') setOwn(target, key, textOf(mutated(encoder.encode(value), [encoder.encode(value)], chance)))
      break
    }
    default: {
      const moved = target[key]!
      setOwn(target, key, otherValue)
      if (!contains(moved, other.parent) && !contains(otherValue, parent)) setOwn(other.parent as { [key: string]: Json }, other.key, moved)
      else setOwn(target, key, moved)
    }
  }
  return Object.hasOwn(holder, 'root') ? holder['root']! : null
}

function contains(value: Json, part: unknown): boolean {
  return value === part || (typeof value === 'object' && value !== null && Object.values(value).some((each) => contains(each, part)))
}

/** An assignment to `__proto__` would change the prototype instead. */
function setOwn(target: { [key: string]: Json }, key: string, value: Json): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
}

function hostile(value: Json, chance: Chance): Json {
  switch (chance.below(12)) {
    case 0: return null
    case 1: return chance.below(2) === 0
    case 2: return chance.of(NUMBERS)
    case 3: return chance.of([-1, 0.5, -0, 1e308, 5e-324, 2 ** 53, -(2 ** 53)])
    case 4: return ''
    case 5: return chance.of(['\ud800', '\u0000', '</script>', '<', '\u2028', '__proto__', 'constructor', '=', 'A===', 'é'.repeat(100), ' '])
    case 6: return 'x'.repeat(chance.of([64, 128, 129, 5_000, 70_000]))
    case 7: return []
    case 8: return {}
    case 9: return [value, value]
    case 10: return { a: value }
    default: return nested(chance.of([10, 63, 64, 65, 2_000]), chance)
  }
}

function nested(depth: number, chance: Chance): Json {
  let value: Json = 1
  const list = chance.below(2) === 0
  for (let i = 0; i < depth; i++) value = list ? [value] : { a: value }
  return value
}
