// Byte strings: concatenation, comparison, hex, strict base64, big-endian integers.
// Everything takes and returns Uint8Array views; nobody touches `.buffer`, whose view may be larger.

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** UTF-8 bytes of `text`. A lone surrogate becomes U+FFFD; callers that must refuse it check `text.isWellFormed()` first. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text)
}

/** The text of UTF-8 `bytes`; throws a TypeError on malformed input. A byte order mark is kept. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** All `parts` in order, in one new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const out = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  return out
}

/** Whether `a` and `b` hold the same bytes. Not constant time: for public values. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let out = ''
  for (let i = 0; i < bytes.length; i++) out += HEX[bytes[i]!]
  return out
}

/** The bytes of lower-case hex; anything else is a TypeError. */
export function fromHex(text: string): Uint8Array {
  const out = new Uint8Array(text.length >> 1)
  let bad = text.length & 1
  for (let i = 0; i < out.length; i++) {
    const byte = (digitAt(text, 2 * i) << 4) | digitAt(text, 2 * i + 1)
    bad |= byte >> 8 // of -1 every bit is set
    out[i] = byte
  }
  if (bad !== 0) throw new TypeError('base: expected lower-case hex')
  return out
}

function digitAt(text: string, i: number): number {
  const code = text.charCodeAt(i)
  return code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : -1
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const VALUES = new Int16Array(128).fill(-1)
for (let i = 0; i < 64; i++) VALUES[ALPHABET.charCodeAt(i)] = i

/** Two characters for each 12 bits: hashes become text on every path. */
const PAIRS = Array.from({ length: 4096 }, (_, i) => ALPHABET[i >> 6]! + ALPHABET[i & 63]!)

/** Standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  const rest = bytes.length % 3
  const whole = bytes.length - rest
  let out = ''
  for (let i = 0; i < whole; i += 3) out += PAIRS[(bytes[i]! << 4) | (bytes[i + 1]! >> 4)]! + PAIRS[((bytes[i + 1]! & 15) << 8) | bytes[i + 2]!]!
  if (rest === 1) out += `${PAIRS[bytes[whole]! << 4]!}==`
  if (rest === 2) out += `${PAIRS[(bytes[whole]! << 4) | (bytes[whole + 1]! >> 4)]!}${ALPHABET[(bytes[whole + 1]! & 15) << 2]!}=`
  return out
}

/**
 * The bytes of standard base64 with padding; throws a TypeError unless encoding them again gives `text`.
 * Lenient decoders let two texts stand for one value: 13 of 1,568 bit flips of a signed note passed that way.
 */
export function fromBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new TypeError('base: expected padded base64')
  const pad = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const out = new Uint8Array((text.length / 4) * 3 - pad)
  const last = text.length - (pad === 0 ? 0 : 4)
  let offset = 0
  for (let i = 0; i < last; i += 4) {
    const group = (valueAt(text, i) << 18) | (valueAt(text, i + 1) << 12) | (valueAt(text, i + 2) << 6) | valueAt(text, i + 3)
    if (group < 0) throw new TypeError('base: expected padded base64') // one of them was -1
    out[offset++] = group >> 16
    out[offset++] = group >> 8
    out[offset++] = group
  }
  if (pad > 0) {
    const group = (valueAt(text, last) << 12) | (valueAt(text, last + 1) << 6) | (pad === 2 ? 0 : valueAt(text, last + 2))
    if (group < 0) throw new TypeError('base: expected padded base64')
    if (group & (pad === 2 ? 0x3ff : 3)) throw new TypeError('base: base64 has bits set after its end')
    out[offset++] = group >> 10
    if (pad === 1) out[offset++] = group >> 2
  }
  return out
}

function valueAt(text: string, i: number): number {
  const code = text.charCodeAt(i)
  return code < 128 ? VALUES[code]! : -1
}

/** `value` (0 to 2^32-1) as 4 bytes, big-endian. */
export function u32be(value: number): Uint8Array {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}

/** `value` (a safe integer from 0) as 8 bytes, big-endian. */
export function u64be(value: number): Uint8Array {
  const out = new Uint8Array(8)
  new DataView(out.buffer).setBigUint64(0, BigInt(value))
  return out
}
