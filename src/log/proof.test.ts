import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { testLeaves, testReader } from '../../test/tree-source.ts'
import { utf8 } from '../base/bytes.ts'
import { signCheckpoint } from './checkpoint.ts'
import { proveInclusion } from './inclusion.ts'
import { ed25519Verifier } from './note.ts'
import { formatProof, openProof, parseProof } from './proof.ts'
import { treeRoot } from './tree.ts'

const leaves = testLeaves(100)
const log = testSigner('example.com/fancylog', 4)
const checkpoint = signCheckpoint({ origin: 'example.com/fancylog', size: 100, root: treeRoot(leaves) }, [log.signer])
const trust = { leafHash: leaves[37]!, verifiers: [ed25519Verifier(log.vkey)] }
const fault = (code: string): unknown => expect.objectContaining({ name: 'VerifyError', code })
let text = ''

beforeAll(async () => {
  text = formatProof({ index: 37, proof: await proveInclusion(testReader(leaves), 37, 100), checkpoint })
})

test('a proof looks as C2SP says and opens to its index and checkpoint', () => {
  const lines = text.split('\n')
  expect(lines.slice(0, 2)).toEqual(['c2sp.org/tlog-proof@v1', 'index 37'])
  expect(lines.slice(2, 9).every((line) => line.length === 44)).toBe(true)
  expect(text.slice(text.indexOf('\n\n') + 2)).toBe(checkpoint)
  expect(openProof(text, trust)).toMatchObject({ index: 37, checkpoint: { origin: 'example.com/fancylog', size: 100 } })
  expect(openProof(utf8(text), trust).index).toBe(37)
})

test('a proof comes back as it went in', () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const extra = fc.option(fc.uint8Array({ minLength: 1, maxLength: 100 }), { nil: undefined })
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.array(hash, { maxLength: 63 }), extra, (index, proof, bytes) => {
      const value = { index, proof, checkpoint, ...(bytes ? { extra: bytes } : {}) }
      expect(parseProof(formatProof(value))).toEqual(value)
      expect(formatProof(parseProof(formatProof(value)))).toBe(formatProof(value))
    }),
  )
})

describe('opening refuses', () => {
  test('another leaf, and every flipped bit of the proof', () => {
    expect(() => openProof(text, { ...trust, leafHash: leaves[38]! })).toThrow(fault('inclusion_mismatch'))
    const bytes = utf8(text)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
      expect(() => openProof(flipped, trust)).toThrow(expect.objectContaining({ name: 'VerifyError' }))
    }
  })

  test('a checkpoint of another key or origin', () => {
    expect(() => openProof(text, { ...trust, verifiers: [ed25519Verifier(testSigner('example.com/fancylog', 5).vkey)] })).toThrow(fault('note_unverified'))
    expect(() => openProof(text, { ...trust, origin: 'example.com/other' })).toThrow(fault('checkpoint_origin'))
  })

  test('hashes dropped, added and swapped', () => {
    const value = parseProof(text)
    for (let at = 0; at < value.proof.length; at++) {
      expect(() => openProof(formatProof({ ...value, proof: value.proof.toSpliced(at, 1) }), trust)).toThrow(fault('inclusion_shape'))
      expect(() => openProof(formatProof({ ...value, proof: value.proof.toSpliced(at, 0, leaves[0]!) }), trust)).toThrow(fault('inclusion_shape'))
      if (at > 0) {
        const swapped = value.proof.with(at, value.proof[at - 1]!).with(at - 1, value.proof[at]!)
        expect(() => openProof(formatProof({ ...value, proof: swapped }), trust)).toThrow(fault('inclusion_mismatch'))
      }
    }
  })
})

test('extra data is carried, and vouched for by nobody', () => {
  const value = { ...parseProof(text), extra: new Uint8Array([1, 2, 3]) }
  expect(formatProof(value).split('\n')[1]).toBe('extra AQID')
  expect(parseProof(formatProof(value)).extra).toEqual(value.extra)
  expect(openProof(formatProof({ ...value, extra: new Uint8Array([9]) }), trust).index).toBe(37)
})

test('what is no proof is malformed', () => {
  const H = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='
  const make = (head: string): string => `${head}\n\n${checkpoint}`
  for (const bad of [
    '', 'c2sp.org/tlog-proof@v1', 'c2sp.org/tlog-proof@v1\nindex 1\n', text.replace('@v1', '@v2'), text.replace('@v1', '@v1\r'), ` ${text}`, `\ufeff${text}`,
    make('c2sp.org/tlog-proof@v1'), make('c2sp.org/tlog-proof@v1\nindex'), make('c2sp.org/tlog-proof@v1\nindex '), make('c2sp.org/tlog-proof@v1\nindex 01'),
    make('c2sp.org/tlog-proof@v1\nindex -1'), make('c2sp.org/tlog-proof@v1\nindex 9007199254740992'), make('c2sp.org/tlog-proof@v1\nIndex 1'),
    make('c2sp.org/tlog-proof@v1\nindex 1\nextra AQID'), make('c2sp.org/tlog-proof@v1\nextra AQID\nextra AQID\nindex 1'),
    make('c2sp.org/tlog-proof@v1\nextra \nindex 1'), make('c2sp.org/tlog-proof@v1\nextra AQI\nindex 1'), make('c2sp.org/tlog-proof@v1\nextra AR==\nindex 1'),
    make(`c2sp.org/tlog-proof@v1\nextra ${'AAAA'.repeat(30_000)}\nindex 1`),
    make(`c2sp.org/tlog-proof@v1\nindex 1\n${H.slice(1)}`), make(`c2sp.org/tlog-proof@v1\nindex 1\n${H}\nhello`), make(`c2sp.org/tlog-proof@v1\nindex 1\n${H} `),
    make(`c2sp.org/tlog-proof@v1\nindex 1${`\n${H}`.repeat(64)}`),
  ]) {
    expect(() => parseProof(bad)).toThrow(fault('proof_malformed'))
  }
  expect(parseProof(make(`c2sp.org/tlog-proof@v1\nindex 1${`\n${H}`.repeat(63)}`)).proof.length).toBe(63)
  expect(() => parseProof('c2sp.org/tlog-proof@v1\nindex 1\n\nno note\n')).toThrow(fault('note_malformed'))
  expect(() => parseProof(utf8(text).fill(0xff, 0, 1))).toThrow(fault('proof_malformed'))
  expect(() => parseProof('x'.repeat(1_100_001))).toThrow('expected at most')
})

test('the largest proof comes back too', () => {
  const value = { index: 0, proof: Array.from({ length: 63 }, () => leaves[0]!), checkpoint, extra: new Uint8Array(65_536).fill(7) }
  expect(parseProof(formatProof(value))).toEqual(value)
})

test('what could not be read back is not written', () => {
  const value = parseProof(text)
  for (const index of [-1, 0.5, 2 ** 53]) expect(() => formatProof({ ...value, index })).toThrow(RangeError)
  expect(() => formatProof({ ...value, proof: [leaves[0]!.slice(1)] })).toThrow(RangeError)
  expect(() => formatProof({ ...value, proof: Array.from({ length: 64 }, () => leaves[0]!) })).toThrow(RangeError)
  expect(() => formatProof({ ...value, extra: new Uint8Array() })).toThrow(RangeError)
  expect(() => formatProof({ ...value, extra: new Uint8Array(65_537) })).toThrow(RangeError)
  expect(() => formatProof({ ...value, checkpoint: 'no note' })).toThrow(fault('note_malformed'))
})
