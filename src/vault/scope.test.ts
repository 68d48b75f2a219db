import { createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toHex } from '../base/bytes.ts'
import { contentKeyOf, indexKeyOf, newScope, parseWrapped, saltKeyOf, unwrapSecret, wrapSecret, WRAPPED_BYTES } from './scope.ts'

const origin = 'example.com/log'
const kek = { generation: 3, key: Uint8Array.from(randomBytes(32)) }
const keks = (generation: number): Uint8Array => {
  expect(generation).toBe(3)
  return kek.key
}

describe('a wrapped secret', () => {
  const scope = newScope()
  const wrapped = wrapSecret(scope, kek, origin)

  test('gives the secret back, and says scope and generation in clear', () => {
    expect(wrapped.length).toBe(WRAPPED_BYTES)
    expect(toHex(unwrapSecret(wrapped, scope.id, origin, keks))).toBe(toHex(scope.secret))
    expect(parseWrapped(wrapped)).toMatchObject({ scope: scope.id, generation: 3 })
  })

  test('is what the format says, opened by another implementation', () => {
    const at = (from: number, to: number): Buffer => Buffer.from(wrapped.subarray(from, to))
    expect(at(0, 5).toString('latin1')).toBe('cfw1\u0001')
    const info = Buffer.concat([Buffer.from(`counterfoil/wrap/v1\0${origin}\0`), Buffer.from(scope.id)])
    const okm = hkdf(kek.key, at(25, 57), info, 44)
    const decipher = createDecipheriv('aes-256-gcm', okm.subarray(0, 32), okm.subarray(32)).setAAD(at(0, 57)).setAuthTag(at(89, 105))
    expect(Buffer.concat([decipher.update(at(57, 89)), decipher.final()]).toString('hex')).toBe(toHex(scope.secret))
  })

  test('does not open when any bit of it is another', () => {
    for (let bit = 0; bit < 8 * wrapped.length; bit++) {
      const bad = Uint8Array.from(wrapped)
      bad[Math.floor(bit / 8)]! ^= 1 << bit % 8
      expect(() => unwrapSecret(bad, scope.id, origin, () => kek.key)).toThrow(expect.objectContaining({ name: 'VerifyError', code: expect.stringMatching(/^secret_/) }))
    }
    for (const length of [0, 4, 104, 106]) expect(() => unwrapSecret(resize(wrapped, length), scope.id, origin, keks)).toThrow(expect.objectContaining({ code: 'secret_malformed' }))
  })

  test('does not open for another scope, log or key', () => {
    expect(() => unwrapSecret(wrapped, newScope().id, origin, keks)).toThrow(expect.objectContaining({ code: 'secret_scope' }))
    expect(() => unwrapSecret(wrapped, scope.id, 'example.com/log2', keks)).toThrow(expect.objectContaining({ code: 'secret_sealed' }))
    expect(() => unwrapSecret(wrapped, scope.id, origin, () => randomBytes(32))).toThrow(expect.objectContaining({ code: 'secret_sealed' }))
    expect(() => wrapSecret(scope, { ...kek, generation: 0 }, origin)).toThrow(RangeError)
    for (const bad of ['', 'a\0b', '\ud800']) expect(() => wrapSecret(scope, kek, bad)).toThrow(TypeError)
  })

  test('never looks the same twice', () => {
    const again = wrapSecret(scope, kek, origin)
    expect(toHex(again.subarray(25))).not.toBe(toHex(wrapped.subarray(25)))
  })
})

describe('the keys of a scope', () => {
  test('are HKDF of its secret by label and origin, and none is another', () => {
    const { secret } = newScope()
    expect(toHex(saltKeyOf(secret, origin))).toBe(hkdf(secret, Buffer.alloc(32), Buffer.from(`counterfoil/salt/v1\0${origin}`), 32).toString('hex'))
    expect(toHex(indexKeyOf(secret, origin))).toBe(hkdf(secret, Buffer.alloc(32), Buffer.from(`counterfoil/index/v1\0${origin}`), 32).toString('hex'))
    const keys = [secret, newScope().secret].flatMap((each) => [each, saltKeyOf(each, origin), indexKeyOf(each, origin), saltKeyOf(each, 'o'), indexKeyOf(each, 'o')])
    expect(new Set(keys.map(toHex)).size).toBe(keys.length)
  })

  test('find equal content in one scope and not across scopes', () => {
    const digest = randomBytes(32)
    const [a, b] = [indexKeyOf(newScope().secret, origin), indexKeyOf(newScope().secret, origin)]
    expect(toHex(contentKeyOf(a, digest))).toBe(toHex(contentKeyOf(a, digest)))
    expect(toHex(contentKeyOf(a, digest))).not.toBe(toHex(contentKeyOf(b, digest)))
  })
})

// RFC 5869, from its text.
function hkdf(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Buffer {
  const prk = createHmac('sha256', salt).update(ikm).digest()
  let block = Buffer.alloc(0)
  let out = Buffer.alloc(0)
  for (let i = 1; out.length < length; i++) {
    block = createHmac('sha256', prk).update(block).update(info).update(Buffer.from([i])).digest()
    out = Buffer.concat([out, block])
  }
  return out.subarray(0, length)
}

function resize(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  out.set(bytes.subarray(0, length))
  return out
}
