import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { loosen, type Match, needleOf } from './match.ts'
import { TextIndex } from './text-index.ts'

/** How `value` is found in `text`, and the characters found; null if it is not. */
function find(value: unknown, text: string): [Match, string] | null {
  const index = new TextIndex()
  index.add({ position: 0, kind: 'message', name: null, message: null, answers: null, text })
  const needle = needleOf(value)
  if (typeof needle === 'string') throw new Error(needle)
  const { exact, loose } = index.find(needle, 1)
  const place = (exact ?? loose)?.place
  return place ? [place.match, text.slice(place.offset, place.offset + place.length)] : null
}

describe('a number', () => {
  test.each(['42', '$42.00 today', '"42"', '{"amount":42}', '[41,42,43]', '41,42', 'it is 42.', '42%', '42.0', '10-42', '(42)', '\\n42\\n'])('42 is in %j', (text) => {
    expect(find(42, text)?.[0]).toBe('exact')
  })

  test.each(['1142', '4.42', '42.5', '421', 'P42', '42nd', 'x_42', '042', '-42', '1.42.3', '12:42', '2024-05-42', '1,042', '.42', '٤٢', 'é42'])('42 is not in %j', (text) => {
    expect(find(42, text)).toBeNull()
  })

  test('has its sign and its fraction', () => {
    expect(find(-42, 'balance: -42.00')).toEqual(['exact', '42.00'])
    expect(find(-42, 'from 10-42')).toBeNull()
    expect(find(452.5, 'total 452.50')).toEqual(['exact', '452.50'])
    expect(find(4.5, '4.5 stars')).toEqual(['exact', '4.5'])
  })

  test('may be grouped, which is another spelling; in brackets it is a list', () => {
    expect(find(1500, 'at most $1,500.')).toEqual(['loose', '1,500'])
    expect(find(1234567.5, '1,234,567.50')).toEqual(['loose', '1,234,567.50'])
    expect(find(1500, '[1,500]')).toBeNull()
    expect(find(500, '[1,500]')).toEqual(['exact', '500'])
    expect(find(500, '$1,500')).toBeNull()
  })
})

describe('a string', () => {
  test.each([
    ['1182', 'order 1182?'], ['JFK', 'from JFK.'], ['mia_li', '"mia_li"'], ['a.b@c.de', '<a.b@c.de>'], ['東京', '私は東京へ'], ['서울', '서울에서'], ['foo-', 'foo-bar'], ['𝒳𝒴𝒵', '-𝒳𝒴𝒵-'], ['example.com', 'x@example.com'], ['a\nb c', 'a\nb c'],
  ])('%j is exactly in %j', (value, text) => {
    expect(find(value, text)).toEqual(['exact', value])
  })

  test.each([
    ['P01', 'P011'], ['P01', 'XP01'], ['mia_li', 'mia_li_3668'], ['cafe', 'cafe\u0301'], ['42', '4.42'], ['42', '42.5'], ['1182', '11820'], ['abc', 'abcd'], ['abc', '\u{1d4d0}abc'], ['abc def', 'abc'],
  ])('%j is not in %j', (value, text) => {
    expect(find(value, text)).toBeNull()
  })

  test.each([
    ['laptop', 'a Laptop', 'Laptop'], ['New York', 'new\n  york', 'new\n  york'], ['Café Paris', '{"n":"Caf\\u00e9 Paris"}', 'Caf\\u00e9 Paris'], ['two\nlines', "'two\\nlines'", 'two\\nlines'], ['it\'s me', "'it\\'s me'", "it\\'s me"], ['ΟΔΟΣ', 'οδοσ.α', 'οδοσ'], ['  padded ', 'it is padded.', 'padded'],
  ])('%j is loosely in %j', (value, text, found) => {
    expect(find(value, text)).toEqual(['loose', found])
  })

  test('that is a plain number is also found as a numeral', () => {
    expect(find('1500', 'for 1,500 $')).toEqual(['loose', '1,500'])
    expect(find('42.50', 'for 42.5 $')).toEqual(['loose', '42.5'])
    expect(find('0042', 'for 42 $')).toBeNull()
  })

  test('is found after places that are not whole', () => {
    expect(find('abc', 'abcd xabc abc')).toEqual(['exact', 'abc'])
  })
})

describe('a date', () => {
  test.each([
    ['May 26, 2024', 'date'], ['26th of May 2024', 'date'], ['sept. 2 2024', null], ['2024/5/26', 'date'], ['May 26', 'date_without_year'], ['26 May', 'date_without_year'], ['2024-05-26', 'exact'], ['on 2024-05-26T10:00', null], ['May 2024', null], ['May 27, 2024', null], ['May 26, 2023', null], ['26/05/2024', null],
  ])('2024-05-26 in %j: %s', (text, match) => {
    expect(find('2024-05-26', text)?.[0] ?? null).toBe(match)
  })
})

describe('what cannot be looked up', () => {
  test.each([[9, 'too_short'], ['9', 'too_short'], ['ab', 'too_short'], [' a ', 'too_short'], ['---', 'no_letter_or_digit'], [null, 'null'], [false, 'boolean'], [Number.NaN, 'not_a_plain_number'], [1e21, 'not_a_plain_number'], [{}, 'absent']])('%j: %s', (value, reason) => {
    expect(needleOf(value)).toBe(reason)
  })
})

const anyText = fc.string({ unit: fc.oneof(fc.constantFrom('a', 'B', 'ß', 'Σ', 'ς', 'İ', 'é', '\u0301', '東', 'ก', '0', '7', '_', '.', ',', '-', '"', "'", '\\', '\\n', '\\u0041', ' ', '\n', '\u00a0', '😀', '𝒳', '\ud800'), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 })), maxLength: 24 })

/** The rule for exact matches again, written plainly: every place is tried, with the boundaries as expressions. */
function plainly(value: string, text: string): number {
  const spaced = String.raw`(?:(?!\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Script=Thai}|\p{Script=Lao}|\p{Script=Khmer}|\p{Script=Myanmar})[\p{L}\p{M}\p{N}_])`
  for (let at = 0; at + value.length <= text.length; at++) {
    const [before, after] = [text.slice(0, at), text.slice(at + value.length)]
    const glued = (new RegExp(`${spaced}$`, 'u').test(before) && new RegExp(`^${spaced}`, 'u').test(value)) || (new RegExp(`^${spaced}`, 'u').test(after) && new RegExp(`${spaced}$`, 'u').test(value))
    const decimal = (/[0-9]\.$/.test(before) && /^[0-9]/.test(value)) || (/^\.[0-9]/.test(after) && /[0-9]$/.test(value))
    if (text.slice(at, at + value.length) === value && !glued && !decimal) return at
  }
  return -1
}

describe('the index', () => {
  test('finds exactly what a look at every place finds', () => {
    fc.assert(fc.property(anyText, anyText, anyText, fc.boolean(), (left, value, right, inside) => {
      const needle = needleOf(value)
      fc.pre(typeof needle !== 'string' && (value.isWellFormed() || !inside))
      const text = inside ? left + value + right : left + right
      const index = new TextIndex()
      index.add({ position: 0, kind: 'message', name: null, message: null, answers: null, text })
      expect(index.find(needle, 1).exact?.place.offset ?? -1).toBe(plainly(value, text))
    }), { numRuns: 3000 })
  })

  test('finds the value between spaces whatever its letters\' case, and names a place in the text', () => {
    fc.assert(fc.property(anyText, anyText, anyText, (left, value, right) => {
      const needle = needleOf(value)
      fc.pre(typeof needle !== 'string' && value.isWellFormed() && !left.endsWith('\\'))
      const text = `${left} ${value.toUpperCase().toLowerCase()} ${right}`
      fc.pre(loosen(` ${value.toUpperCase().toLowerCase()} `).text.trim() === (needle as { loose: string }).loose)
      const index = new TextIndex()
      index.add({ position: 0, kind: 'message', name: null, message: null, answers: null, text })
      const { loose } = index.find(needle, 1)
      expect(loose).toBeDefined()
      expect(loose?.place.offset).toBeGreaterThanOrEqual(0)
      expect((loose?.place.offset ?? 0) + (loose?.place.length ?? 0)).toBeLessThanOrEqual(text.length)
    }), { numRuns: 3000 })
  })

  test('finds numbers by value however they are written', () => {
    fc.assert(fc.property(fc.integer({ min: 10, max: 1e9 }), fc.nat(3), fc.constantFrom(' ', '"', '$', '(', ':', '\n', '='), (whole, zeros, before) => {
      const text = `x${before}${whole}${zeros ? `.${'0'.repeat(zeros)}` : ''} y`
      expect(find(whole, text)?.[0]).toBe('exact')
      for (const other of [whole + 1, whole * 10, whole + 0.5]) expect(find(other, text)).toBeNull()
    }))
  })

  test('takes the first of several texts, before the end and as accepted', () => {
    const index = new TextIndex()
    for (const [position, text] of ['nothing', 'Abc', 'abc', 'abc again'].entries()) index.add({ position, kind: position === 2 ? 'model' : 'message', name: null, message: null, answers: null, text })
    const needle = needleOf('abc') as Exclude<ReturnType<typeof needleOf>, string>
    expect(index.find(needle, 9).exact?.text.position).toBe(2)
    expect(index.find(needle, 9).loose?.text.position).toBe(1)
    expect(index.find(needle, 2)).toEqual({ loose: expect.anything() as unknown })
    expect(index.find(needle, 1)).toEqual({})
    expect(index.find(needle, 9, ({ kind }) => kind !== 'model').exact?.text.position).toBe(3)
  })

  test('takes in no more than its limit, and counts the rest', () => {
    const index = new TextIndex(10)
    for (const text of ['12345', '12345', '123456', '1234']) index.add({ position: 0, kind: 'model', name: null, message: null, answers: null, text })
    expect(index.charactersLeftOut).toBe(6)
    expect(index.texts.map(({ text }) => text)).toEqual(['12345', '1234'])
  })
})
