import { ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { describe, expect, test } from 'vitest'
import * as browser from '../base/crypto-browser.ts'
import * as node from '../base/crypto-node.ts'
import { concat, fromHex, toHex } from '../base/bytes.ts'
import { isCanonicalLargeOrder, strictEd25519, verifyEd25519 } from './ed25519.ts'

const { Point } = ed25519
const L = 2n ** 252n + 27742317777372353535851937790883648493n
const P = 2n ** 255n - 19n
const secret = new Uint8Array(32).fill(3)
const key = ed25519.getPublicKey(secret)
const message = new Uint8Array([1, 2, 3])
const signature = ed25519.sign(message, secret)
const backends = [verifyEd25519, strictEd25519(node.ed25519Verify), strictEd25519(browser.ed25519Verify)]

describe.each([['the default', 0], ['crypto-node', 1], ['crypto-browser', 2]])('over %s', (_, which) => {
  const verify = backends[which]!

  test('the first vectors of RFC 8032 §7.1 are accepted', () => {
    for (const [publicKey, text, sig] of RFC_8032) expect(verify(fromHex(publicKey), fromHex(text), fromHex(sig))).toBe(true)
  })

  test('no flipped bit of signature, key or message is accepted', () => {
    expect(verify(key, message, signature)).toBe(true)
    for (let bit = 0; bit < 512; bit++) expect(verify(key, message, flip(signature, bit))).toBe(false)
    for (let bit = 0; bit < 256; bit++) expect(verify(flip(key, bit), message, signature)).toBe(false)
    for (let bit = 0; bit < 24; bit++) expect(verify(key, flip(message, bit), signature)).toBe(false)
  })

  test('wrong lengths are false, not errors', () => {
    for (const bad of [new Uint8Array(), key.slice(1), concat(key, new Uint8Array(1))]) expect(verify(bad, message, signature)).toBe(false)
    for (const bad of [new Uint8Array(), signature.slice(1), concat(signature, new Uint8Array(1))]) expect(verify(key, message, bad)).toBe(false)
  })

  test('the second form of a signature, S + L, is refused', () => {
    const s = littleEndian(signature.slice(32))
    expect(verify(key, message, concat(signature.slice(0, 32), bytes32(s + L)))).toBe(false)
  })

  test('a key that is not on the curve is refused', () => {
    const off = Array.from({ length: 100 }, (_, i) => bytes32(BigInt(i + 2))).filter((point) => !onCurve(point))
    expect(off.length).toBeGreaterThan(20)
    for (const bad of off) expect(verify(bad, message, signature)).toBe(false)
  })

  test('a small-order key is refused, under which R = [S]B signs any message', () => {
    const s = 12_345n
    const forged = concat(Point.BASE.multiply(s).toBytes(), bytes32(s))
    expect(verify(bytes32(1n), message, forged)).toBe(false)
    expect(verify(bytes32(1n), new Uint8Array([9]), forged)).toBe(false)
  })

  test('a small-order R is refused, where S = k·a signs with the true key', () => {
    for (const r of smallOrder()) expect(verify(key, message, concat(r, bytes32(1n)))).toBe(false)
    expect(verify(key, message, signWithIdentity())).toBe(false)
  })

  test('a mixed-order R, which only an equation with cofactor accepts, is refused', () => {
    const torsion = Point.fromBytes(smallOrder().find((point) => onCurve(point) && !Point.fromBytes(point, true).double().is0())!, true)
    const nonce = 777n
    const r = Point.BASE.multiply(nonce).add(torsion).toBytes()
    expect(ed25519.verify(signWith(nonce, r), message, key, { zip215: false })).toBe(true) // noble's own verdict
    expect(verify(key, message, signWith(nonce, r))).toBe(false)
    expect(verify(key, message, signWith(nonce, Point.BASE.multiply(nonce).toBytes()))).toBe(true)
  })
})

test('a backend is asked only about canonical, large-order input', () => {
  let asked = 0
  const verify = strictEd25519(() => ++asked > 0)
  for (const bad of [...smallOrder(), ...nonCanonical()]) {
    expect(isCanonicalLargeOrder(bad)).toBe(false)
    expect(verify(bad, message, signature)).toBe(false)
    expect(verify(key, message, concat(bad, signature.slice(32)))).toBe(false)
  }
  for (const s of [L, L + 1n, 2n ** 255n, 2n ** 256n - 1n]) expect(verify(key, message, concat(signature.slice(0, 32), bytes32(s)))).toBe(false)
  expect(asked).toBe(0)
  expect(verify(key, message, concat(signature.slice(0, 32), bytes32(L - 1n)))).toBe(true)
  expect(verify(bytes32(P - 2n), message, signature)).toBe(true)
  expect(asked).toBe(2)
})

test('the small-order list is complete: 8 points, each killed by the cofactor', () => {
  const points = smallOrder().filter(onCurve).map((bytes) => Point.fromBytes(bytes, true))
  for (const point of points) expect(point.clearCofactor().is0()).toBe(true)
  expect(new Set(points.map((point) => toHex(point.toBytes()))).size).toBe(8)
})

test('views into larger buffers are read as the views they are', () => {
  const padded = concat(new Uint8Array(5).fill(255), key, signature)
  expect(verifyEd25519(padded.subarray(5, 37), message, padded.subarray(37))).toBe(true)
})

const RFC_8032 = [
  [
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
] as const

/** All encodings of points of order 1, 2, 4, 8: 5 values of y, those below 19 also as y + P, each with both signs. */
function smallOrder(): Uint8Array[] {
  const eighth = littleEndian(fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'))
  return [0n, 1n, P - 1n, eighth, P - eighth, P, P + 1n].flatMap((y) => [bytes32(y), bytes32(y + 2n ** 255n)])
}

function nonCanonical(): Uint8Array[] {
  return Array.from({ length: 19 }, (_, i) => P + BigInt(i)).flatMap((y) => [bytes32(y), bytes32(y + 2n ** 255n)])
}

/** An honest signature but for the nonce 0: R is the identity. */
function signWithIdentity(): Uint8Array {
  return signWith(0n, bytes32(1n))
}

function signWith(nonce: bigint, r: Uint8Array): Uint8Array {
  const { scalar } = ed25519.utils.getExtendedPublicKey(secret)
  const k = littleEndian(sha512(concat(r, key, message))) % L
  return concat(r, bytes32((nonce + k * scalar) % L))
}

function onCurve(point: Uint8Array): boolean {
  try {
    Point.fromBytes(point, true)
    return true
  } catch {
    return false
  }
}

function bytes32(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, '0')).reverse()
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.toReversed())}`)
}

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice()
  flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
  return flipped
}
