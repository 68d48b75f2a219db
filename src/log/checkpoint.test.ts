import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { fromBase64, utf8 } from '../base/bytes.ts'
import { formatTreeHead, openCheckpoint, parseDecimal, parseHash, parseTreeHead, signCheckpoint } from './checkpoint.ts'
import { cosignatureSigner, cosignatureVerifier } from './cosignature.ts'
import { emptyRoot } from './hash.ts'
import { addSignature, COSIGNATURE_ED25519, ed25519Verifier, signNote } from './note.ts'

const ORIGIN = 'counterfoil.local/8f31c2'
const ROOT = fromBase64('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=')
const head = { origin: ORIGIN, size: 20_852_163, root: ROOT }
const BODY = `${ORIGIN}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n`
const log = testSigner(ORIGIN, 1)
const other = testSigner('other.example', 2)
const witness = testSigner('witness.example/w1', 3, COSIGNATURE_ED25519)
const verifier = ed25519Verifier(log.vkey)
const cosigners = [cosignatureVerifier(witness.vkey)]
const fault = (code: string): unknown => expect.objectContaining({ name: 'VerifyError', code })

describe('the text', () => {
  test('is that of tlog-checkpoint', () => {
    expect(formatTreeHead(head)).toBe(BODY)
    expect(parseTreeHead(BODY)).toEqual(head)
    expect(parseTreeHead(`${BODY}an extension\nanother\n`)).toEqual({ ...head, extensions: ['an extension', 'another'] })
    expect(parseTreeHead(formatTreeHead({ origin: 'o', size: 0, root: emptyRoot() })).size).toBe(0)
    expect(parseTreeHead(BODY.replace('20852163', String(Number.MAX_SAFE_INTEGER))).size).toBe(Number.MAX_SAFE_INTEGER)
  })

  test('has lines of up to 4,096 bytes', () => {
    const origin = '\u20ac'.repeat(1_365) + 'o'
    expect(parseTreeHead(formatTreeHead({ ...head, origin })).origin).toBe(origin)
    expect(() => formatTreeHead({ ...head, origin: `${origin}o` })).toThrow(TypeError)
  })

  test('comes back as it went in', () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/\p{Cc}/u.test(text))
    const root = fc.uint8Array({ minLength: 32, maxLength: 32 })
    fc.assert(
      fc.property(line, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), root, fc.array(line, { minLength: 1, maxLength: 3 }), (origin, size, hash, extensions) => {
        expect(parseTreeHead(formatTreeHead({ origin, size, root: hash }))).toEqual({ origin, size, root: hash })
        expect(parseTreeHead(formatTreeHead({ origin, size, root: hash, extensions }))).toEqual({ origin, size, root: hash, extensions })
      }),
    )
  })

  test.each([
    '', '0', '-1', '+1', '01', '1.0', '1e3', '0x10', ' 1', '1 ', '9007199254740992', '99999999999999999999', '1_000', '١', 'NaN',
  ])('the size %j is refused', (size) => {
    expect(() => parseTreeHead(BODY.replace('20852163', size))).toThrow(fault('checkpoint_malformed'))
  })

  test.each([
    ['no last newline', BODY.slice(0, -1)],
    ['no origin', BODY.slice(BODY.indexOf('\n'))],
    ['two lines', `${ORIGIN}\n1\n`],
    ['an empty extension line', `${BODY}\n`],
    ['an empty line between', `${BODY}a\n\nb\n`],
    ['a short root', BODY.replace('q2I=', '')],
    ['a root of 33 bytes', BODY.replace('q2I=', 'q2IA')],
    ['a root with bits after its end', BODY.replace('q2I=', 'q2J=')],
    ['a carriage return', BODY.replace('\n', '\r\n')],
    ['an endless origin', `${'o'.repeat(5_000)}\n${BODY}`],
    ['nothing', ''],
  ])('%s is refused', (_, text) => {
    expect(() => parseTreeHead(text)).toThrow(fault('checkpoint_malformed'))
  })

  test('size 0 has the empty root and no other', () => {
    expect(() => parseTreeHead(BODY.replace('20852163', '0'))).toThrow('expected the empty root for size 0')
  })

  test('what could not be read back is not written', () => {
    expect(() => formatTreeHead({ ...head, origin: '' })).toThrow(TypeError)
    expect(() => formatTreeHead({ ...head, origin: 'a\nb' })).toThrow(TypeError)
    for (const size of [-1, 0.5, 2 ** 53, NaN]) expect(() => formatTreeHead({ ...head, size })).toThrow(RangeError)
    expect(() => formatTreeHead({ ...head, root: ROOT.slice(1) })).toThrow(RangeError)
    expect(() => formatTreeHead({ ...head, extensions: [''] })).toThrow(TypeError)
  })
})

describe('opening', () => {
  const note = signCheckpoint(head, [log.signer])

  test('gives the tree head that the log signed', () => {
    expect(openCheckpoint(note, [verifier])).toEqual({ ...head, cosignatures: [] })
    expect(openCheckpoint(utf8(note), [verifier], { origin: ORIGIN })).toEqual({ ...head, cosignatures: [] })
  })

  test('names the witnesses that cosigned, with their times', () => {
    const cosigned = addSignature(note, cosignatureSigner(witness.signer, 1_700_000_000))
    expect(openCheckpoint(cosigned, [verifier], { cosigners }).cosignatures).toEqual([{ name: witness.signer.name, keyId: witness.signer.keyId, time: 1_700_000_000 }])
    expect(openCheckpoint(cosigned, [verifier]).cosignatures).toEqual([])
    const forged = addSignature(note, { ...cosignatureSigner(witness.signer, 1), sign: () => new Uint8Array(72) })
    expect(() => openCheckpoint(forged, [verifier], { cosigners })).toThrow(fault('note_signature'))
  })

  test('refuses a checkpoint that only witnesses signed', () => {
    const alone = signNote(BODY, [cosignatureSigner(witness.signer, 1_700_000_000)])
    expect(() => openCheckpoint(alone, [verifier], { cosigners })).toThrow(fault('note_unverified'))
  })

  test('tells the key of a log from a witness of the same name', () => {
    const namesake = testSigner(ORIGIN, 6, COSIGNATURE_ED25519)
    const alone = signNote(BODY, [cosignatureSigner(namesake.signer, 1_700_000_000)])
    expect(() => openCheckpoint(alone, [verifier], { cosigners: [cosignatureVerifier(namesake.vkey)] })).toThrow('got only cosignatures')
  })

  test('takes only cosigners made by cosignatureVerifier', () => {
    const note = signNote(BODY, [log.signer, other.signer])
    expect(() => openCheckpoint(note, [verifier], { cosigners: [ed25519Verifier(other.vkey)] })).toThrow(TypeError)
  })

  test('refuses the checkpoint of another log, whoever of the known logs signed it', () => {
    const both = [verifier, ed25519Verifier(other.vkey)]
    expect(() => openCheckpoint(signCheckpoint(head, [other.signer]), both)).toThrow(fault('checkpoint_origin'))
    expect(() => openCheckpoint(note, [verifier], { origin: 'other.example' })).toThrow(fault('checkpoint_origin'))
    expect(openCheckpoint(signCheckpoint(head, [other.signer]), both, { origin: ORIGIN }).origin).toBe(ORIGIN)
  })

  test('refuses a signed text that is no checkpoint', () => {
    expect(() => openCheckpoint(signNote('hello\n', [log.signer]), [verifier])).toThrow(fault('checkpoint_malformed'))
  })

  test('accepts no flipped bit', () => {
    const bytes = utf8(note)
    let accepted = 0
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
      try {
        openCheckpoint(flipped, [verifier])
        accepted++
      } catch (error) {
        expect(error).toMatchObject({ name: 'VerifyError' })
      }
    }
    expect(accepted).toBe(0)
  })

  test('accepts no byte dropped or doubled', () => {
    const bytes = utf8(note)
    for (let at = 0; at < bytes.length; at++) {
      for (const copies of [0, 2]) {
        const changed = new Uint8Array([...bytes.slice(0, at), ...new Array<number>(copies).fill(bytes[at]!), ...bytes.slice(at + 1)])
        expect(() => openCheckpoint(changed, [verifier])).toThrow(expect.objectContaining({ name: 'VerifyError' }))
      }
    }
  })
})

test('decimals and hashes are read strictly', () => {
  expect(['0', '7', '9007199254740991'].map(parseDecimal)).toEqual([0, 7, Number.MAX_SAFE_INTEGER])
  expect(['', '00', '9007199254740992', '1\n', '１'].map(parseDecimal)).toEqual([undefined, undefined, undefined, undefined, undefined])
  expect(parseHash('CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=')).toEqual(ROOT)
  for (const bad of ['', 'CsUY', 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I', 'CsUYapGGPo4dkMgIAUqom_Xajj7h2fB2MPA3j2jxq2I=', ('A'.repeat(44))]) {
    expect(parseHash(bad)).toBeUndefined()
  }
})
