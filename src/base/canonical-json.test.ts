import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalJson, MAX_DEPTH, parseCanonicalJson, parseStrictJson, type CanonicalValue } from './canonical-json.ts'

const anything = (value: unknown): CanonicalValue => value as CanonicalValue

describe('canonicalJson', () => {
  test('sorts keys by UTF-16 code units at every level, integer-like keys too', () => {
    expect(canonicalJson({ 10: 1, 9: 2, b: { d: 1, c: 2 }, '': 0, '\u{1f600}': 1, '\ufb33': 2 })).toBe(
      '{"":0,"10":1,"9":2,"b":{"c":2,"d":1},"\u{1f600}":1,"\ufb33":2}',
    )
  })

  test('escapes what RFC 8785 escapes and nothing else', () => {
    let all = ''
    for (let code = 0; code < 0x2100; code++) all += String.fromCharCode(code)
    expect(canonicalJson(all)).toBe(JSON.stringify(all))
    expect(canonicalJson('\b\t\n\f\r"\\/\u0000\u001f\u007f\u2028\u20ac')).toBe(String.raw`"\b\t\n\f\r\"\\/\u0000\u001f` + '\u007f\u2028\u20ac"')
    expect(canonicalJson('A\u030a')).toBe('"A\u030a"') // no Unicode normalisation
  })

  test('prints numbers as ECMAScript does', () => {
    expect(canonicalJson([-0, 1e21, 1e-7, 0.1 + 0.2, 333333333.33333329, Number.MAX_VALUE, 5e-324])).toBe(
      '[0,1e+21,1e-7,0.30000000000000004,333333333.3333333,1.7976931348623157e+308,5e-324]',
    )
  })

  test('encodes __proto__ and constructor as the keys they are', () => {
    const value = { ['__proto__']: { a: 1 }, constructor: 2, toString: 3 }
    expect(canonicalJson(value)).toBe('{"__proto__":{"a":1},"constructor":2,"toString":3}')
    expect(canonicalJson(JSON.parse('{"__proto__":[1]}') as CanonicalValue)).toBe('{"__proto__":[1]}')
    expect(canonicalJson(anything(Object.assign(Object.create(null), { b: 1, a: 2 })))).toBe('{"a":2,"b":1}')
  })

  test.each([
    ['NaN', NaN],
    ['Infinity', -Infinity],
    ['a bigint', 10n],
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a Date', new Date(0)],
    ['a Map', new Map([['a', 1]])],
    ['a Set', new Set([1])],
    ['bytes', new Uint8Array(2)],
    ['a boxed string', new String('a')],
    ['a class instance', new (class Point { x = 1 })()],
    ['an inherited property', Object.create({ a: 1 })],
    ['an object with toJSON', { toJSON: () => 'x' }],
    ['an object with a symbol key', { [Symbol('s')]: 1 }],
    ['a sparse array', [1, , 2]], // eslint-disable-line no-sparse-arrays
    ['an array with a property', Object.assign([1], { a: 1 })],
    ['an array with a property in place of a hole', Object.assign([1, , 2], { a: 1 })], // eslint-disable-line no-sparse-arrays
    ['an array of a class', new (class List extends Array {})()],
    ['a lone high surrogate', '\ud800'],
    ['a lone low surrogate', 'a\udc00b'],
    ['a reversed pair', '\udc00\ud800'],
  ])('refuses %s and says where', (_, bad) => {
    for (const [value, path] of [
      [bad, ' at '],
      [[0, bad], ' at [1]'],
      [{ facts: [{ x: bad }] }, ' at .facts[0].x'],
    ] as const) {
      expect(() => canonicalJson(anything(value))).toThrow(TypeError)
      expect(() => canonicalJson(anything(value))).toThrow(path)
    }
  })

  test('names the class of what is no plain object', () => {
    expect(() => canonicalJson(anything({ at: new Date(0) }))).toThrow('base: expected a plain object, got Date at .at')
    expect(() => canonicalJson(anything(Object.create({ a: 1 })))).toThrow('got another prototype at the top')
    expect(() => canonicalJson(anything(Object.create(Object.create(null))))).toThrow('got another prototype')
  })

  test('refuses a lone surrogate in a key', () => {
    expect(() => canonicalJson({ a: { 'x\ud800': 1 } })).toThrow('expected a well-formed string')
  })

  test('lets an error of a getter through as it is, and reads each getter once', () => {
    expect(() => canonicalJson({ get a(): number { throw new RangeError('mine') } })).toThrow(new RangeError('mine'))
    let reads = 0
    expect(canonicalJson({ get a(): number { return ++reads } })).toBe('{"a":1}')
  })

  test('is not turned by a toJSON on a prototype', () => {
    const prototypes = [Object.prototype, String.prototype, Number.prototype] as { toJSON?: () => string }[]
    for (const prototype of prototypes) Object.defineProperty(prototype, 'toJSON', { value: () => 'forged', configurable: true })
    try {
      expect(canonicalJson({ a: ['\n', 1, {}] })).toBe('{"a":["\\n",1,{}]}')
    } finally {
      for (const prototype of prototypes) delete prototype.toJSON
    }
  })

  test(`goes ${MAX_DEPTH} levels deep, and a cycle is too deep`, () => {
    expect(canonicalJson(nest(MAX_DEPTH))).toBe('['.repeat(MAX_DEPTH) + ']'.repeat(MAX_DEPTH))
    expect(() => canonicalJson(nest(MAX_DEPTH + 1))).toThrow('expected at most 64 levels')
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(() => canonicalJson(anything(cycle))).toThrow('a cycle?')
  })

  test('agrees with the canonicalize package, and both parsers read it back', () => {
    fc.assert(
      fc.property(values(), (value) => {
        const text = canonicalJson(value)
        expect(text).toBe(canonicalize(value))
        expect(parseCanonicalJson(text)).toEqual(JSON.parse(text))
        expect(canonicalJson(parseCanonicalJson(text))).toBe(text)
      }),
      { numRuns: process.env.SLOW ? 100_000 : 2_000 },
    )
  })
})

describe('parseCanonicalJson', () => {
  test.each(['{"b":1,"a":2}', '{"a":1,"a":1}', ' 1', '1 ', '1.0', '-0', '1e2', '"\\u0041"', '"\\/"', '12345678901234567890', '{"a": 1}', '"\\u007f"'])(
    'refuses the other spelling %s',
    (text) => {
      expect(() => parseCanonicalJson(text)).toThrow(SyntaxError)
    },
  )

  test('refuses what canonical JSON cannot say', () => {
    for (const text of ['"\\ud800"', '1e400', '['.repeat(65) + ']'.repeat(65), '['.repeat(100_000) + ']'.repeat(100_000), '', '{']) {
      expect(() => parseCanonicalJson(text)).toThrow(SyntaxError)
    }
  })

  test('says where another spelling begins', () => {
    expect(() => parseCanonicalJson('{"a":1, "b":2}')).toThrow('from character 7')
  })
})

describe('parseStrictJson', () => {
  test('gives what JSON.parse gives, __proto__ included', () => {
    fc.assert(
      fc.property(values(), fc.constantFrom(0, 1, '\t', ' \n'), (value, space) => {
        const text = JSON.stringify(value, null, space)
        if (/[0-9]{16}/.test(text)) return // integers above 2^53 are refused: the next test
        expect(parseStrictJson(text)).toEqual(JSON.parse(text))
      }),
      { numRuns: 2_000 },
    )
    const value = parseStrictJson('{"__proto__":{"admin":true}}') as { admin?: unknown }
    expect(value.admin).toBeUndefined()
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect(Object.keys(value)).toEqual(['__proto__'])
    expect(canonicalJson(value as CanonicalValue)).toBe('{"__proto__":{"admin":true}}')
    expect(parseStrictJson(' [1, -0.0, 1E2, 1.5e-3, "\\u00e9\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\"\\\\", true, false, null, {}, []] ')).toEqual(
      [1, -0, 100, 0.0015, '\u00e9\u{1f600}/\b\f\n\r\t"\\', true, false, null, {}, []],
    )
  })

  test('accepts exactly the numbers that every reader sees alike', () => {
    for (const good of ['9007199254740991', '-9007199254740991', '0', '-0', '0.1', '1e21', '0e0', '0.000', '0e-999', '5e-324', '1.7976931348623157e308']) {
      expect(parseStrictJson(good)).toBe(Number(good))
    }
    for (const bad of ['9007199254740992', '-9007199254740993', '12345678901234567890', '1e309', '-1e999', '1e-400', '0.1e-400']) {
      expect(() => parseStrictJson(bad)).toThrow(SyntaxError)
    }
  })

  test.each([
    ['a duplicate key', '{"a":1,"b":{"a":2},"a":3}', 'expected a new key, got "a" again at character 19'],
    ['a duplicate key in another spelling', '{"a":1,"\\u0061":2}', 'got "a" again'],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}', 'got "__proto__" again'],
    ['a lone surrogate', '["\\ud800"]', 'lone surrogate at character 1'],
    ['a raw lone surrogate', '"\udc00"', 'lone surrogate'],
    ['a pair that is reversed', '"\\udc00\\ud800"', 'lone surrogate'],
    ['a lone surrogate in a key', '{"\\ud800":1}', 'lone surrogate'],
    ['garbage at the end', '{} x', 'expected the end of the text at character 3'],
    ['a second value', '1 2', 'expected the end'],
    ['a trailing comma', '[1,]', 'expected a value'],
    ['a trailing comma in an object', '{"a":1,}', 'expected a string'],
    ['a missing colon', '{"a" 1}', 'expected ":"'],
    ['an open array', '[1', 'expected "]"'],
    ['an open object', '{"a":1', 'expected "}"'],
    ['an open string', '"abc', 'expected a closing quote'],
    ['a raw newline in a string', '"a\nb"', 'expected a closing quote'],
    ['a raw NUL in a string', '"a\u0000b"', 'expected a closing quote'],
    ['an unknown escape', '"\\x41"', 'expected an escape'],
    ['a short escape', '"\\u12"', 'expected an escape'],
    ['an escape with a sign', '"\\u+123"', 'expected an escape'],
    ['an escape at the end', '"\\', 'expected an escape'],
    ['a leading zero', '01', 'expected the end'],
    ['a bare point', '.5', 'expected a value'],
    ['a plus', '+1', 'expected a value'],
    ['a point without digits', '1.', 'expected the end'],
    ['NaN', 'NaN', 'expected a value'],
    ['a comment', '/**/1', 'expected a value'],
    ['a byte order mark', '\ufeff1', 'expected a value'],
    ['a no-break space', '\u00a01', 'expected a value'],
    ['half a word', 'tru', 'expected a value'],
    ['nothing', ' ', 'expected a value'],
    ['a single quote', "{'a':1}", 'expected a string'],
  ])('refuses %s', (_, text, message) => {
    expect(() => parseStrictJson(text)).toThrow(SyntaxError)
    expect(() => parseStrictJson(text)).toThrow(message)
  })

  test('refuses deep nesting without using the stack for it', () => {
    expect(parseStrictJson('['.repeat(64) + ']'.repeat(64))).toEqual(nest(64))
    expect(() => parseStrictJson('['.repeat(65) + ']'.repeat(65))).toThrow('expected at most 64 levels at character 64')
    expect(() => parseStrictJson('{"a":'.repeat(1_000_000))).toThrow('expected at most 64 levels')
    expect(() => parseStrictJson('[[[1]]]', { maxDepth: 2 })).toThrow('expected at most 2 levels')
    expect(parseStrictJson('[1]', { maxDepth: 1 })).toEqual([1])
    expect(parseStrictJson('[[[1]]]', { maxDepth: 3 })).toEqual([[[1]]])
    for (const maxDepth of [0, 65, 1.5, NaN]) expect(() => parseStrictJson('1', { maxDepth })).toThrow(RangeError)
  })

  test('accepts nothing that JSON.parse refuses', () => {
    const pieces = ['{', '}', '[', ']', ',', ':', '"a"', '"', '\\', '1', '-', '.', 'e5', 'true', 'null', ' ', '\u0001']
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        let value: CanonicalValue
        try {
          value = parseStrictJson(text)
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError)
          return
        }
        expect(value).toEqual(JSON.parse(text))
      }),
      { numRuns: 20_000 },
    )
  })
})

function values(): fc.Arbitrary<CanonicalValue> {
  const key = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', '10', '9', 'a'))
  return fc.letrec<{ value: CanonicalValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(null, true, false, 0, 1, 'x'),
      fc.string({ unit: 'binary' }),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
      fc.maxSafeInteger(),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.array(fc.tuple(key, tie('value')), { maxLength: 6 }).map((pairs) => Object.fromEntries(pairs)),
    ),
  })).value
}

function nest(depth: number): CanonicalValue {
  return depth === 1 ? [] : [nest(depth - 1)]
}
