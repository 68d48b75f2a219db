import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maskValue } from './masked.ts'

describe('a masked payload', () => {
  test('has the structure of what was recorded, and says nothing of it but lengths', () => {
    const value = { order_id: '1182', amount: 42.5, express: true, note: null, lines: [{ sku: 'A-1', count: 2 }, []], 'ada@example.com': 'x', '4711': 1 }
    expect(maskValue(value)).toEqual({
      order_id: '[4 characters]', amount: '[number]', express: '[boolean]', note: null, lines: [{ sku: '[3 characters]', count: '[number]' }, []], '[name 1]': '[number]', '[name 2]': '[1 characters]',
    })
    expect(maskValue('Where is my refund?')).toBe('[19 characters]')
    expect(maskValue(new Uint8Array(5))).toBe('[5 bytes]')
  })

  test('holds no leaf of the original, whatever it is', () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const leaves = (of: unknown): unknown[] => (typeof of === 'object' && of !== null ? Object.values(of).flatMap(leaves) : [of])
      const shape = (of: unknown): unknown => (Array.isArray(of) ? of.map(shape) : typeof of === 'object' && of !== null ? Object.values(of).map(shape).length : of === null ? null : 0)
      const masked = maskValue(value)
      expect(leaves(masked).every((leaf) => leaf === null || /^\[(\d+ (characters|bytes)|number|boolean)\]$/.test(String(leaf)))).toBe(true)
      expect(shape(masked)).toEqual(shape(value))
    }))
  })

  test('of a name that means something to the language is an object like any other', () => {
    const masked = maskValue(JSON.parse('{"__proto__":{"admin":true}}')) as object
    expect(Object.getPrototypeOf(masked)).toBe(Object.prototype)
    expect(masked).toEqual({ '[name 1]': { admin: '[boolean]' } })
  })

  test('that is deeper than anything walks ends there', () => {
    let deep: unknown = 'bottom'
    for (let i = 0; i < 5_000; i++) deep = [deep]
    expect(JSON.stringify(maskValue(deep))).toContain('[deeper]')
  })
})
