// The golden corpus: bytes made once from fixed randomness, in golden.json. If this file fails, the format has drifted, and what users
// have stored can no longer be read: mend the code, never the corpus. Compressed segments are only read back, since zstd's output may
// differ between versions; everything else must come out byte for byte.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { fromHex, toHex, utf8 } from '../base/bytes.ts'
import { commit, digestOf, saltOf } from './commitment.ts'
import { formatSecretKey, formatSigningKey, parseSecretKey, parseSigningKey } from './key-text.ts'
import { contentKeyOf, indexKeyOf, type RandomSource, saltKeyOf, unwrapSecret, wrapSecret } from './scope.ts'
import { openSegment, type Place, readPayload, sealSegment } from './segment.ts'

interface Golden {
  origin: string
  scope: string
  secret: string
  kek: string
  generation: number
  random: string
  wrapped: string
  salt_key: string
  index_key: string
  log_key: string
  log_pub: string
  kek_file: string
  commitments: { event_id: string; slot: string; position: number; payload: string; salt: string; commitment: string; content_key: string }[]
  segments: { name: string; groups: string[][]; exact: boolean; places: Place[][]; segment: string }[]
}

const golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8')) as Golden
const { origin } = golden
const [scope, secret, kek] = [golden.scope, golden.secret, golden.kek].map(fromHex) as [Uint8Array, Uint8Array, Uint8Array]
const random: RandomSource = (n) => fromHex(golden.random).subarray(0, n)

describe('the golden corpus', () => {
  test('has the wrapped secret and the derived keys', () => {
    expect(toHex(wrapSecret({ id: scope, secret }, { generation: golden.generation, key: kek }, origin, random))).toBe(golden.wrapped)
    expect(toHex(unwrapSecret(fromHex(golden.wrapped), scope, origin, () => kek))).toBe(golden.secret)
    expect(toHex(saltKeyOf(secret, origin))).toBe(golden.salt_key)
    expect(toHex(indexKeyOf(secret, origin))).toBe(golden.index_key)
  })

  test('has the key files', () => {
    expect(formatSigningKey(origin, secret)).toEqual({ secret: golden.log_key, vkey: golden.log_pub })
    expect(parseSigningKey(golden.log_key, origin).verifier.name).toBe(origin)
    expect(formatSecretKey(`kek-${golden.generation}`, origin, kek)).toBe(golden.kek_file)
    expect(toHex(parseSecretKey(golden.kek_file, `kek-${golden.generation}`, origin))).toBe(golden.kek)
  })

  test.each(golden.commitments)('has the commitment of $slot $position', ({ event_id, slot, position, payload, salt, commitment, content_key }) => {
    const digest = digestOf(utf8(payload))
    expect(toHex(saltOf(fromHex(golden.salt_key), { event_id, slot, position, digest }))).toBe(salt)
    expect(toHex(commit(fromHex(salt), digest))).toBe(commitment)
    expect(toHex(contentKeyOf(fromHex(golden.index_key), digest))).toBe(content_key)
  })

  test.each(golden.segments)('has the segment $name', ({ groups, exact, places, segment }) => {
    const opened = openSegment(fromHex(segment), { origin, scope, secret })
    const read = places.map((group) => group.map((place) => Buffer.from(readPayload(opened, place)).toString()))
    expect(read).toEqual(groups.map((group) => group.map(expand)))
    if (!exact) return
    const made = sealSegment({ origin, scope, secret, groups: groups.map((group) => group.map((text) => utf8(expand(text)))), random })
    expect(toHex(made.segment)).toBe(segment)
    expect(made.places).toEqual(places)
  })
})

/** `abc*1000` stands for a thousand times abc. */
function expand(text: string): string {
  const [, unit, count] = /^(.+)\*(\d+)$/s.exec(text) ?? []
  return unit === undefined ? text : unit.repeat(Number(count))
}
