import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytes, cut, duration, pad, red, render, safeJson, visible, width, wrap, type Style } from './terminal.ts'

/** Strings made to hurt: every kind of control, glued to ordinary text. */
const hostile = fc.array(fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '\u001b[2J', '\u001b]0;title\u0007', '\u009b31m', '\u001b]8;;http://x\u001b\\link', '\r', '\n  #22   ok', '\u2028', '\u2029', '\u202e', '\u2066', '\u2069', '\u200b',
    '\u200d', '\ufeff', '\u00ad', '\ud800', '\udfff', '\u{e0041}', '\u{e0100}', '\u3164', '\u115f', 'e\u0301\u0301\u0301\u0301\u0301\u0301', '👩‍👩‍👧', '🇩🇪', '漢字', '1️⃣', '\u034f', '\u061c', '\u007f',
  ),
  fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)),
), { maxLength: 12 }).map((parts) => parts.join(''))

const styles = fc.constantFrom<Style | undefined>('bold', 'grey', 'red', 'green', 'yellow', 'cyan', undefined)
// Sequences of picocolors, and nothing else that begins with ESC.
const OURS = /\u001b\[(?:1|22|90|31|32|33|36|39|22m\u001b\[1)m/g
const FORBIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e0fff}]/u

describe('nothing from a record can act on the terminal', () => {
  test('whatever a line is made of, it is one line without controls, no wider than asked', () => {
    fc.assert(fc.property(fc.array(fc.tuple(hostile, styles), { maxLength: 5 }), fc.integer({ min: 1, max: 120 }), (parts, columns) => {
      const line = parts.map(([text, style]) => (style === undefined ? text : { text, style }))
      const plain = render(line, { color: false, columns })
      expect(plain).not.toMatch(FORBIDDEN)
      expect(width(plain)).toBeLessThanOrEqual(columns)
      expect(render(line, { color: true, columns }).replace(OURS, '')).toBe(plain)
    }), { numRuns: 2000 })
  })

  test('every single code unit alone is harmless', () => {
    for (let unit = 0; unit <= 0xffff; unit++) {
      const text = render([String.fromCharCode(unit)], { color: false, columns: 80 })
      if (FORBIDDEN.test(text) || text === '') throw new Error(`unit ${unit.toString(16)} came out as ${JSON.stringify(text)}`)
    }
  })

  test('JSON stays the same value and holds no control', () => {
    fc.assert(fc.property(fc.anything({ key: hostile, values: [hostile, fc.double({ noNaN: true, noDefaultInfinity: true })] }), (value) => {
      const expected = JSON.stringify(value)
      if (expected === undefined) return
      const text = safeJson(value)
      expect(text).not.toMatch(FORBIDDEN)
      expect(JSON.stringify(JSON.parse(text))).toBe(JSON.stringify(JSON.parse(expected)))
    }), { numRuns: 1000 })
  })

  test('wrapped lines hold all of the text and no control', () => {
    fc.assert(fc.property(hostile, fc.integer({ min: 2, max: 60 }), (text, columns) => {
      const lines = wrap(text, columns)
      for (const line of lines) {
        expect(line).not.toMatch(FORBIDDEN)
        // one cluster may be wider than the room there is (Hangul jamo): it cannot be cut
        if ([...new Intl.Segmenter().segment(line)].length > 1) expect(width(line)).toBeLessThanOrEqual(columns)
      }
      const dense = (part: string): string => part.replaceAll(' ', '')
      expect(dense(lines.join(''))).toBe(dense(text.split(/\r\n|\n/).map(visible).join('')))
    }), { numRuns: 1000, examples: [['\u{20000}\u{cd5}\0', 2]] })
  })

  test('cleaning twice changes nothing more', () => {
    fc.assert(fc.property(hostile, (text) => { expect(visible(visible(text))).toBe(visible(text)) }))
  })
})

test('what is hidden is written out', () => {
  expect(visible('a\nb\tc\u001b[31m')).toBe('a\\nb\\tc\\x1b[31m')
  expect(visible('pay \u202e100\u202c')).toBe('pay \\u202e100\\u202c')
  expect(visible('hi\u{e0068}\u{e0069}')).toBe('hi\\u{e0068}\\u{e0069}')
  expect(visible('\ud800')).toBe('\\ud800')
  expect(visible('a\ufff9b\u0600')).toBe('a\\ufff9b\\u0600')
  expect(visible(`e${'\u0301'.repeat(6)}`)).toBe(`e${'\u0301'.repeat(4)}\\u0301\\u0301`)
  expect(visible('\u0301 alone')).toBe('\\u0301 alone')
  expect(visible('Grüße, 漢字 👍🏽 ❤️ é')).toBe('Grüße, 漢字 👍🏽 ❤️ é')
})

test('widths are those of a terminal', () => {
  const cases: [string, number][] = [['abc', 3], ['漢字', 4], ['한국', 4], ['👍', 2], ['👍🏽', 2], ['❤️', 2], ['🇩🇪', 2], ['é', 1], ['e\u0301', 1], ['ｱ', 1], ['Ａ', 2], ['—…→·', 4], ['1️⃣', 2]]
  for (const [text, columns] of cases) expect([text, width(text)]).toEqual([text, columns])
})

test('text is cut at a whole character and says so', () => {
  expect(cut('漢字漢字', 6)).toBe('漢字…')
  expect(cut('short', 5)).toBe('short')
  expect(cut('longer', 5)).toBe('long…')
  expect(pad('漢', 4)).toBe('漢  ')
  expect(pad('12', 4, 'right')).toBe('  12')
  expect(render([red('abc'), 'def'], { color: false, columns: 4 })).toBe('abc…')
})

test('50 MB are cut without being read to the end', () => {
  expect(cut('\u200b'.repeat(25_000_000), 20)).toBe(`${'\\u200b'.repeat(3)}\\…`)
})

test('durations and sizes are short', () => {
  expect([0, 29, 999, 1000, 41_200, 99_949, 99_950, 200_000, 7_500_000, 273_600_000].map(duration))
    .toEqual(['0 ms', '29 ms', '999 ms', '1.0 s', '41.2 s', '99.9 s', '1 min 40 s', '3 min 20 s', '2 h 5 min', '3 d 4 h'])
  expect([0, 812, 4200, 99_500, 1_300_000_000].map(bytes)).toEqual(['0 B', '812 B', '4.2 kB', '100 kB', '1.3 GB'])
})
