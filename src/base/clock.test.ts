import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatTime, isTime } from './clock.ts'

test('a time is the one that Date writes, whatever was asked before', () => {
  const ms = fc.oneof(fc.integer({ min: 0, max: 253_402_300_799_999 }), fc.integer({ min: 1_795_248_000_000, max: 1_795_248_003_000 }))
  fc.assert(fc.property(fc.array(ms, { maxLength: 20 }), (times) => {
    for (const time of times) expect(formatTime(time)).toBe(new Date(time).toISOString())
  }))
  for (const time of [0, 999, 1_000, 59_999, 60_000, 253_402_300_799_999]) expect(isTime(formatTime(time))).toBe(true)
  expect(formatTime(1_234.9)).toBe('1970-01-01T00:00:01.234Z')
  expect(() => formatTime(Number.NaN)).toThrow(RangeError)
  expect(formatTime(1_234)).toBe('1970-01-01T00:00:01.234Z')
})
