import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyMasks, checkMasks, defaultMasks, type Mask } from './mask.ts'

const text = (value: string): [string, ...string[]] => {
  const { text, masked } = applyMasks(value, 'text', defaultMasks)
  return [text, ...masked]
}
const json = (value: string): [string, ...string[]] => {
  const { text, masked } = applyMasks(value, 'json', defaultMasks)
  return [text, ...masked]
}
const KEY = 'sk-ant-api03-abcdefghijklmnopqrstuvwx'
const CARD = '4111111111111111'
const PEM = '-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----'

describe('the default masks', () => {
  test.each<[string, string, string]>([
    ['api_key', `key ${KEY}.`, 'key [masked:api_key].'],
    ['api_key', 'OPENAI_API_KEY=sk-proj-Ab_cdefghijklmnop-qrs', 'OPENAI_API_KEY=[masked:api_key]'],
    ['api_key', `sk-${'aB3'.repeat(16)}`, '[masked:api_key]'],
    ['api_key', `AIza${'x'.repeat(35)}`, '[masked:api_key]'],
    ['api_key', 'sk_live_abcdefghijklmnop1234', '[masked:api_key]'],
    ['aws_key', 'id AKIAIOSFODNN7EXAMPLE end', 'id [masked:aws_key] end'],
    ['github_token', `ghp_${'a1'.repeat(18)}`, '[masked:github_token]'],
    ['github_token', `x github_pat_${'a1_'.repeat(20)} y`, 'x [masked:github_token] y'],
    ['slack_token', 'xoxb-123456789012-abcdef', '[masked:slack_token]'],
    ['private_key', `a ${PEM} b`, 'a [masked:private_key] b'],
    ['private_key', '-----BEGIN PRIVATE KEY-----\nMIIE cut off', '[masked:private_key]'],
    ['private_key', '-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY----- ok', '[masked:private_key] ok'],
    ['jwt', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln-bmF0_dXJl!', '[masked:jwt]!'],
    ['authorization', 'Authorization: Bearer abc.def-123456', 'Authorization: Bearer [masked:authorization]'],
    ['authorization', 'authorization: basic dXNlcjpwYXNz', 'authorization: basic [masked:authorization]'],
    ['password', 'https://x.example/?user=a&password=hunter2&b=1', 'https://x.example/?user=a&password=[masked:password]&b=1'],
    ['password', 'postgres://app:hunter2@db/x', 'postgres://app:[masked:password]@db/x'],
    ['password', 'Server=db;Password=hunter2;', 'Server=db;Password=[masked:password];'],
    ...['passwd', 'pwd', 'secret', 'token', 'access_token', 'refresh_token', 'CLIENT_SECRET', 'apikey', 'Api_Key'].map((name): [string, string, string] => ['password', `a?b=1&${name}=x;c=2`, `a?b=1&${name}=[masked:password];c=2`]),
    ['password', `https://${'u'.repeat(256)}:${'p'.repeat(256)}@h`, `https://${'u'.repeat(256)}:[masked:password]@h`],
    ['card', CARD, '[masked:card]'],
    ['card', 'card 4111 1111 1111 1111, exp', 'card [masked:card], exp'],
    ['card', '4111-1111-1111-1111', '[masked:card]'],
    ['card', 'no. 12 4111 1111 1111 1111 34', 'no. 12 [masked:card] 34'],
    ['card', 'amex 3782 822463 10005', 'amex [masked:card]'],
    ['card', '5555555555554444 and 2223003122003222', '[masked:card] and [masked:card]'],
  ])('%s is cut from %j', (name, from, to) => {
    expect(text(from)).toEqual([to, name])
  })

  test.each([
    'risk-assessment-of-the-whole-department-and-more', 'task-sk-1', 'risk-abcdefghijklmnopqrstuvwxyz', 'sk-short', 'AKIAIOSFODNN7EXAMPL', 'xAKIAIOSFODNN7EXAMPLE', 'a bearer of bad news', 'the bearer', 'password = hunter2 in a sentence',
    '-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----', 'eyJhbGciOiJIUzI1NiJ9', '4111111111111112', '1111111111111117', '1732179600000', '41111111111111111111111111', 'x4111111111111111', '4111111111111111x',
    '0.4111111111111111', '4111111111111111.5', 'https://example.com/a:b', 'https://example.com:8080/?q=1', '01930000-0000-7000-8000-000000000001', '4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1',
    'call +49 30 1234 5678 90', '2026-11-21 08:00:00 2026-11-21 08:00:00',
  ])('%j stays', (clean) => {
    expect(text(clean)).toEqual([clean])
    expect(json(JSON.stringify({ a: [clean] }))).toEqual([JSON.stringify({ a: [clean] })])
  })
})

describe('JSON', () => {
  test('keeps its structure: only what is cut changes', () => {
    expect(json(`{"key": "${KEY}",\n "n": 1.50e3, "u":"\\u00e9\\n"}`)).toEqual(['{"key": "[masked:api_key]",\n "n": 1.50e3, "u":"\\u00e9\\n"}', 'api_key'])
    expect(json(JSON.stringify([PEM, 'x']))).toEqual(['["[masked:private_key]","x"]', 'private_key'])
    expect(json(`"a \\"${CARD}\\" \\\\"`)).toEqual(['"a \\"[masked:card]\\" \\\\"', 'card'])
  })

  test('a number that matches becomes a string, also at the top', () => {
    expect(json(CARD)).toEqual(['"[masked:card]"', 'card'])
    expect(json(`{"pan":${CARD},"n":[${CARD},1,-${CARD}]}`)).toEqual(['{"pan":"[masked:card]","n":["[masked:card]",1,"-[masked:card]"]}', 'card'])
    expect(json('[0.4111111111111111, 4111111111111111.0]')).toEqual(['[0.4111111111111111, 4111111111111111.0]'])
  })

  test('what hides behind escapes is found', () => {
    const hidden = (value: string): string => `"${Array.from(value, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
    expect(json(hidden(KEY))).toEqual(['"[masked:api_key]"', 'api_key'])
    expect(json(`{"a":${hidden(CARD)}}`)).toEqual(['{"a":"[masked:card]"}', 'card'])
    expect(json('"postgres:\\/\\/app:hunter2@db"')).toEqual(['"postgres:\\/\\/app:[masked:password]@db"', 'password'])
    expect(json(`"\\ud83d\\ude00 \\u0073${KEY.slice(1)} \\ud83d\\ude00\\u0041"`)).toEqual(['"\\ud83d\\ude00 [masked:api_key] \\ud83d\\ude00\\u0041"', 'api_key'])
  })

  test('JSON in a string stays JSON too, however deep its escapes', () => {
    const inner = JSON.stringify({ pan: 4111111111111111, note: `key ${KEY}` })
    const [out, ...names] = json(JSON.stringify({ arguments: inner }))
    expect(JSON.parse((JSON.parse(out) as { arguments: string }).arguments)).toEqual({ pan: '[masked:card]', note: 'key [masked:api_key]' })
    expect(names).toEqual(['api_key', 'card'])
    const twice = JSON.stringify({ a: JSON.stringify({ b: 'X' }).replace('X', `\\u0073${KEY.slice(1)}`) })
    expect(json(twice)).toEqual([JSON.stringify({ a: '{"b":"[masked:api_key]"}' }), 'api_key'])
  })

  test('keys are masked too, and two of them stay two', () => {
    expect(json(`{"${CARD}":1,"5555555555554444" : 2,"a":3}`)).toEqual(['{"[masked:card]":1,"[masked:card] 2" : 2,"a":3}', 'card'])
  })

  test('what is not JSON is masked as text', () => {
    for (const broken of [`{"a": "${KEY}`, `{'a': ${CARD}}`, `oops ${KEY}`, `{"a":"\\x ${KEY}"}`]) expect(json(broken)[0]).not.toMatch(/sk-ant-api03|4111111/)
  })

  test('the result parses to the same shape for any value', () => {
    const secret = fc.constantFrom(KEY, CARD, '4111 1111 1111 1111', PEM, `\\${KEY}\\`, `"${KEY}"`, 'postgres://a:b@c', `\ud83d\ude00${KEY}`, `{"a":"${KEY}"}`, `[${CARD}]`)
    const leaf = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.tuple(fc.string(), secret, fc.string()).map((parts) => parts.join(' ')), fc.constant(4111111111111111), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
    const { value } = fc.letrec((tie) => ({ value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value')), fc.dictionary(fc.string(), tie('value'))) }))
    fc.assert(fc.property(value, fc.boolean(), (each, ascii) => {
      const plain = JSON.stringify(each)
      const source = ascii ? plain.replaceAll(/[^ -~]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`) : plain
      const { text: out, masked } = applyMasks(source, 'json', defaultMasks)
      expect(shape(JSON.parse(out))).toEqual(shape(JSON.parse(source)))
      expect(out.includes('sk-ant-api03')).toBe(false)
      expect(out === source).toBe(masked.length === 0)
    }), { numRuns: 500 })
  })
})

describe('own masks', () => {
  test('are expressions, with or without g, or functions', () => {
    const masks: Mask[] = [{ name: 'name', find: /maria/i }, { name: 'all', find: (text) => (text.startsWith('secret') ? [[0, text.length]] : []) }]
    expect(applyMasks('Maria and maria', 'text', masks)).toEqual({ text: '[masked:name] and [masked:name]', masked: ['name'] })
    expect(applyMasks('["secret Maria","x"]', 'json', masks)).toEqual({ text: '["[masked:all]","x"]', masked: ['all'] })
    expect(applyMasks('["^","a"]', 'json', [{ name: 'anchored', find: /^a$/ }])).toEqual({ text: '["^","[masked:anchored]"]', masked: ['anchored'] })
    expect(applyMasks('x', 'text', [])).toEqual({ text: 'x', masked: [] })
  })

  test('that throw or answer nonsense never let content through by it', () => {
    const thrower: Mask = { name: 'thrower', find: () => { throw new Error('no') } }
    expect(applyMasks('abc', 'text', [thrower])).toEqual({ text: '[masked:thrower]', masked: ['thrower'] })
    expect(applyMasks('abc', 'text', [{ name: 'odd', find: () => [[-5, 1], [2, 99], [3, 2], [Number.NaN, 0]] }]).text).toBe('[masked:odd]b[masked:odd]')
  })

  test('never cut a character in half', () => {
    const half = (from: number, to: number): Mask[] => [{ name: 'half', find: () => [[from, to]] }]
    for (const [from, to] of [[1, 2], [2, 3], [1, 3], [2, 2.5]] as const) expect(applyMasks('a😀b', 'text', half(from, to)).text.isWellFormed()).toBe(true)
    expect(applyMasks('"a\\ud83d\\ude00b"', 'json', half(2, 3)).text).toBe('"a[masked:half]b"')
  })

  test('are named by labels, of which a ref carries four at most', () => {
    checkMasks(defaultMasks)
    expect(() => checkMasks([{ name: 'my mask', find: /x/ }])).toThrow(/mask name that is a label of at most 32 characters, got "my mask"/)
    expect(() => checkMasks([{ name: 'x'.repeat(33), find: /x/ }])).toThrow('mask name')
    const five = ['e', 'd', 'c', 'b', 'a'].map((name): Mask => ({ name, find: new RegExp(name) }))
    expect(applyMasks('abcde', 'text', five).masked).toEqual(['a', 'b', 'c', 'others'])
    expect(applyMasks('abcd', 'text', five).masked).toEqual(['a', 'b', 'c', 'd'])
  })

  test('that overlap make one cut', () => {
    const masks: Mask[] = [{ name: 'right', find: /bcd/ }, { name: 'left', find: /abc/ }]
    expect(applyMasks('xabcdx', 'text', masks)).toEqual({ text: 'x[masked:left]x', masked: ['left'] })
  })
})

// Each of these makes a careless expression quadratic or worse: 300,000 characters would then take minutes.
test.each([
  ['digits', '1'.repeat(300_000)], ['grouped digits', '4111 '.repeat(60_000)], ['single digits', '4 '.repeat(150_000)], ['begins', '-----BEGIN PRIVATE KEY-----'.repeat(11_000)], ['half begins', '-----BEGIN RSA '.repeat(20_000)],
  ['jwt heads', 'eyJ-'.repeat(75_000)], ['jwt parts', 'eyJabcdefgh.'.repeat(25_000)], ['dots', `eyJ${'a'.repeat(300_000)}`], ['keys', 'sk-ant-'.repeat(43_000)], ['short keys', 'sk-ant-a '.repeat(33_000)], ['bearers', 'bearer '.repeat(43_000)],
  ['spaces', `bearer${' '.repeat(300_000)}`], ['urls', '://a:'.repeat(60_000)], ['url without end', `://${'a'.repeat(300_000)}`], ['passwords', '?password='.repeat(30_000)], ['backslashes', '\\'.repeat(300_000)], ['quotes', '"'.repeat(300_000)],
  ['escaped quotes', `"${'\\"'.repeat(150_000)}"`], ['brackets', '['.repeat(300_000)], ['authorization', 'authorization:'.repeat(21_000)], ['slack', 'xoxb-'.repeat(60_000)], ['aws', 'AKIA'.repeat(75_000)],
])('%s take linear time', (_name, evil) => {
  const took = (size: number, media: 'json' | 'text'): number => {
    const begun = performance.now()
    applyMasks(`${evil.slice(0, size)} ${KEY} ${CARD}`, media, defaultMasks)
    return performance.now() - begun
  }
  for (const media of ['json', 'text'] as const) expect(took(evil.length, media)).toBeLessThan(1000)
})

function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape)
  if (typeof value === 'object' && value !== null) return Object.values(value).map(shape)
  return 'leaf'
}

describe('a hint', () => {
  /** What each hint looks for, in words. The masks that have one more, or say it another way, find the same. */
  const plain: { readonly [name: string]: RegExp } = {
    api_key: /sk-|k_live_|AIza|hf_|gsk_|xai-|npm_|glpat-/, aws_key: /A[KS]IA/, github_token: /gh[pousr]_|github_pat_/, slack_token: /xox|xapp-/, private_key: /PRIVATE KEY/, jwt: /eyJ/,
    authorization: /earer|EARER|uthoriz|UTHORIZ/, card: /[2-6]\d\d(?:[ -]?\d){10}/,
  }
  const plainly = defaultMasks.map((mask) => (plain[mask.name] === undefined ? mask : { ...mask, hint: (text: string) => plain[mask.name]!.test(text) }))
  const long = 'AbCdEfGhIj0123456789klmnopqrstuvwxyz_'
  const parts = [
    'sk-', 'sk-ant-', 'sk-proj-', 'k_live_', 'sk_live_', 'rk_live_', 'AIza', 'hf_', 'gsk_', 'xai-', 'npm_', 'glpat-', 'AKIA', 'ASIA', 'AZIA', 'ghp_', 'ghx_', 'gho_', 'github_pat_', 'xoxb-', 'xox', 'xapp-',
    '-----BEGIN PRIVATE KEY-----', '-----END PRIVATE KEY-----', 'PRIVATE KEY', 'eyJ', '.eyJ', 'eyJhbGciOiJIUzI1NiJ9', '.', 'Bearer ', 'bearer\t', 'BEARER ', 'BeArEr ', 'clearer ', 'Authorization: Basic ', 'AUTHORIZATION=token ',
    'aUtHoRiZaTiOn: digest ', 'authorize', 'cozy', 'Bz', '4111 1111 1111 1111', '4111111111111111', '5500-0000-0000-0004', '378282246310005', '2221000000000009', '123456', '12 34', '2', '-', '_', '=', '?password=', 'https://u:p@', '@', ' ', '\n', '"', '\\', '/', 'é', '😀',
    long, long.toUpperCase(), 'AKIAIOSFODNN7EXAMPLE', 'ASIAIOSFODNN7EXAMPLE', 'word ', 'z', 'b', 'J',
  ]
  const text = fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 3 })), { maxLength: 14 }).map((some) => some.join(''))

  test('never changes what is cut, in texts and in JSON', () => {
    let cut = 0
    fc.assert(fc.property(text, text, (one, other) => {
      for (const [value, media] of [[one, 'text'], [JSON.stringify({ [one]: other, nested: JSON.stringify([other]) }), 'json'], [JSON.stringify(one).replaceAll('a', '\\u0061').replaceAll('-', '\\u002d'), 'json']] as const) {
        const masked = applyMasks(value, media, defaultMasks)
        expect(masked).toEqual(applyMasks(value, media, plainly))
        cut += masked.masked.length
      }
    }), { numRuns: 10_000 })
    expect(cut).toBeGreaterThan(1_000) // the texts are worth something
  })

  test('of every mask is true where it cuts', () => {
    const cutting: { readonly [name: string]: string } = {
      api_key: `sk-ant-${long}`, aws_key: 'AKIAIOSFODNN7EXAMPLE', github_token: `ghp_${long}`, slack_token: 'xoxb-1234567890-abc', private_key: '-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----', jwt: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc',
      authorization: 'Bearer abcdefgh12345', password: '?password=hidden', card: '4111111111111111',
    }
    expect(Object.keys(cutting).sort()).toEqual(defaultMasks.map(({ name }) => name).sort())
    for (const { name, hint } of defaultMasks) {
      expect(hint!(`before ${cutting[name]!} after`), name).toBe(true)
      expect(hint!('The customer asks for order 1182-A, a re-usable snake_case answer, and where it is.'), name).toBe(false)
    }
  })
})
