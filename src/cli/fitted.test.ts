import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Absent } from '../event/view.ts'
import { fitted } from './fitted.ts'
import { fitColumns, width } from './terminal.ts'

const REFUND = { order_id: '1182', amount: 900 }

describe('content in a given width', () => {
  test.each<[unknown, number, string]>([
    [REFUND, 40, '{"order_id":"1182","amount":900}'],
    [JSON.stringify(REFUND), 40, '{"order_id":"1182","amount":900}'],
    [REFUND, 31, 'order_id:"1182",amount:900'],
    [REFUND, 26, 'order_id:"1182",amount:900'],
    [REFUND, 25, 'order_id:"1182",… 1 more'],
    [REFUND, 23, 'amount:900,… 1 more'],
    [REFUND, 15, '… 2 more'],
    [REFUND, 5, '…'],
    [{ to: 'ada@example.com', body: 'Your kettle has arrived, and more.', amount: 42 }, 52, 'to:"ada@example.com",body:"Your kettle h…",amount:42'],
    [{ order: { id: 'a-1', total: 900, lines: [1, 2, 3, 4, 5, 6, 7] } }, 40, 'order:{id:"a-1",total:900,… 1 more}'],
    [[100, 200, 300, 400, 500], 15, '100,… 4 more'],
    [{ 'a "b': 1, c: 'd'.repeat(40) }, 20, '"a \\"b":1,… 1 more'],
    [{ note: new Absent('erased', 7), c: 'd'.repeat(40) }, 30, 'note:[erased by #7],… 1 more'],
    ['a text that is too long for that', 12, '"a text tha…'],
  ])('%j in %i columns', (value, columns, text) => {
    expect(fitted(value, columns)).toBe(text)
    expect(width(text)).toBeLessThanOrEqual(columns)
  })

  test('a number or an id is whole or not there, and what is missing is counted', () => {
    const leaf = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.uuid(), fc.string({ unit: 'grapheme' }), fc.lorem({ maxCount: 30 }), fc.boolean(), fc.constant(null))
    const value = fc.dictionary(fc.string({ minLength: 1 }), fc.oneof(leaf, fc.array(leaf), fc.dictionary(fc.string(), leaf)), { minKeys: 1 })
    fc.assert(fc.property(value, fc.integer({ min: 1, max: 120 }), (input, columns) => {
      expect(width(fitted(input, columns))).toBeLessThanOrEqual(columns)
    }), { numRuns: 2000 })
    fc.assert(fc.property(fc.array(fc.integer(), { minLength: 1 }), fc.integer({ min: 20, max: 80 }), (numbers, columns) => {
      const text = fitted(numbers, columns)
      const [, shown = '', missing] = /^\[?(.*?)\]?(?:,?… (\d+) more)?$/.exec(text)!
      const read = shown === '' ? [] : shown.split(',').map(Number)
      expect(read.every((one) => numbers.includes(one))).toBe(true)
      expect(read.length + Number(missing ?? 0)).toBe(numbers.length)
    }), { numRuns: 1000 })
  })
})

test('columns of nothing to share stay at nothing', () => {
  expect(fitColumns([3, 5], 0, 0, 0)).toEqual([0, 0])
})
