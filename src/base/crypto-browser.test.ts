import fc from 'fast-check'
import { expect, test } from 'vitest'
import * as browser from './crypto-browser.ts'
import * as node from './crypto-node.ts'
import { ed25519 } from '@noble/curves/ed25519.js'

test('exports what crypto-node exports', () => {
  expect(Object.keys(browser).sort()).toEqual(Object.keys(node).sort())
})

test('gives the hashes and MACs of crypto-node', () => {
  const bytes = fc.uint8Array({ maxLength: 200 })
  fc.assert(
    fc.property(bytes, fc.array(bytes, { maxLength: 4 }), (key, parts) => {
      expect(browser.sha256(...parts)).toEqual(node.sha256(...parts))
      expect(browser.hmacSha256(key, ...parts)).toEqual(node.hmacSha256(key, ...parts))
      expect(browser.sha256Latin1(key)).toBe(node.sha256Latin1(key))
      expect(Uint8Array.from(node.sha256Latin1(key), (char) => char.charCodeAt(0))).toEqual(node.sha256(key))
    }),
  )
})

test('gives them also of parts that are long together, and keeps earlier ones as they were', () => {
  const [key, long] = [new Uint8Array(32).fill(3), new Uint8Array(65_500).fill(7)]
  const before = node.sha256(long, key)
  for (const last of [35, 36, 37, 100_000]) {
    const parts = [long, new Uint8Array(last).fill(9)]
    expect(node.sha256(...parts)).toEqual(browser.sha256(...parts))
    expect(node.hmacSha256(key, ...parts)).toEqual(browser.hmacSha256(key, ...parts))
  }
  expect(before).toEqual(browser.sha256(long, key))
})

test('gives the hex of texts and bytes', () => {
  for (const data of ['', 'd\u00e9j\u00e0 vu', '\ud800', new Uint8Array([0, 255])]) expect(browser.sha256Hex(data)).toBe(node.sha256Hex(data))
})

test('accepts the signatures that crypto-node accepts, and no flipped bit', () => {
  const secret = new Uint8Array(32).fill(7)
  const [key, message] = [ed25519.getPublicKey(secret), new Uint8Array([1, 2, 3])]
  const signature = ed25519.sign(message, secret)
  for (const { ed25519Verify } of [browser, node]) {
    expect(ed25519Verify(key, message, signature)).toBe(true)
    expect(ed25519Verify(key, new Uint8Array([1, 2, 4]), signature)).toBe(false)
    for (let bit = 0; bit < 512; bit += 5) {
      const flipped = signature.slice()
      flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
      expect(ed25519Verify(key, message, flipped)).toBe(false)
    }
  }
})
