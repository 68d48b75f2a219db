import { expect, test } from 'vitest'
import { isRef, isUuid, parseUuid, randomRef, uuidv7 } from './ids.ts'

test('a UUIDv7 says its time, its version and its variant', () => {
  for (const ms of [0, 1, 0xffff, 2 ** 32 - 1, 2 ** 32, 1_795_248_000_123, 2 ** 48 - 1]) {
    const id = uuidv7(ms)
    expect(isUuid(id), id).toBe(true)
    expect(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toBe(ms)
    expect(id[14]).toBe('7')
    expect('89ab').toContain(id[19])
  }
  expect(uuidv7(5.75).slice(0, 13)).toBe('00000000-0005')
})

test('each of its 74 other bits is random, and so are all of a reference', () => {
  const count = 4_096 // several draws of the pool; a fair bit is off its half by 400 of them once in 10^35
  const ones = (draw: () => Uint8Array): number[] => {
    const sums = Array.from({ length: 128 }, () => 0)
    for (let i = 0; i < count; i++) for (const [at, byte] of draw().entries()) for (let bit = 0; bit < 8; bit++) sums[8 * at + bit]! += (byte >> (7 - bit)) & 1
    return sums
  }
  const fair = (sum: number): boolean => Math.abs(sum - count / 2) < 400
  const fixed = (bit: number): boolean => bit < 52 || bit === 64 || bit === 65
  expect(ones(() => parseUuid(uuidv7(0))).flatMap((sum, bit) => (fair(sum) ? [] : [bit]))).toEqual(Array.from({ length: 128 }, (_, bit) => bit).filter(fixed))
  expect(ones(() => Buffer.from(randomRef(), 'hex')).every(fair)).toBe(true)
})

test('no identifier comes twice', () => {
  const ids = Array.from({ length: 20_000 }, (_, i) => (i % 3 === 0 ? randomRef() : uuidv7(1)))
  expect(new Set(ids.map((id) => id.replaceAll('-', '').slice(13))).size).toBe(ids.length)
  expect(ids.filter((_, i) => i % 3 === 0).every(isRef)).toBe(true)
})
