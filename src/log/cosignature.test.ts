import { describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { concat, u64be, utf8 } from '../base/bytes.ts'
import { cosignatureMessage, cosignatureSigner, cosignatureVerifier, formatCosignature, parseCosignature } from './cosignature.ts'
import { addSignature, COSIGNATURE_ED25519, openNote, signNote } from './note.ts'

const TIME = 1_679_315_147
const BODY = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n'
const witness = testSigner('witness.example/w1', 9, COSIGNATURE_ED25519)
const log = testSigner('example.com/behind-the-sofa', 1)

test('the signed message is that of the specification', () => {
  expect(cosignatureMessage(TIME, utf8(BODY))).toEqual(utf8(`cosignature/v1\ntime 1679315147\n${BODY}`))
})

test('a cosignature comes back as it went in', () => {
  const signature = new Uint8Array(64).fill(7)
  for (const time of [0, TIME, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) expect(parseCosignature(formatCosignature(time, signature))).toEqual({ time, signature })
  expect(formatCosignature(TIME, signature).slice(0, 8)).toEqual(u64be(TIME))
})

describe('verifying', () => {
  const note = addSignature(signNote(BODY, [log.signer]), cosignatureSigner(witness.signer, TIME))

  test('accepts a cosignature beside the signature of the log', () => {
    expect(openNote(note, [cosignatureVerifier(witness.vkey)]).verified.map(({ name }) => name)).toEqual(['witness.example/w1'])
  })

  test('refuses another time, another text, another key and any flipped bit', () => {
    const verifier = cosignatureVerifier(witness.vkey)
    const bytes = cosignatureSigner(witness.signer, TIME).sign(utf8(BODY))
    expect(verifier.verify(utf8(BODY), bytes)).toBe(true)
    expect(verifier.verify(utf8(BODY), concat(u64be(TIME + 1), bytes.slice(8)))).toBe(false)
    expect(verifier.verify(utf8(`${BODY}x\n`), bytes)).toBe(false)
    expect(cosignatureVerifier(testSigner('witness.example/w1', 8, COSIGNATURE_ED25519).vkey).verify(utf8(BODY), bytes)).toBe(false)
    for (let bit = 0; bit < 72 * 8; bit++) {
      const flipped = bytes.slice()
      flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
      expect(verifier.verify(utf8(BODY), flipped)).toBe(false)
    }
  })

  test('refuses a bare signature of the text, and a cosignature as a bare signature', () => {
    const verifier = cosignatureVerifier(witness.vkey)
    expect(verifier.verify(utf8(BODY), witness.signer.sign(utf8(BODY)))).toBe(false)
    expect(verifier.verify(utf8(BODY), concat(u64be(TIME), witness.signer.sign(utf8(BODY))))).toBe(false)
  })

  test('ignores an ML-DSA-44 line, as it ignores any unknown key', () => {
    const quantum = { name: 'witness.example/w1', keyId: 0x06060606, sign: () => new Uint8Array(8 + 2_420) }
    expect(openNote(addSignature(note, quantum), [cosignatureVerifier(witness.vkey)]).unverified.length).toBe(2)
  })

  test('needs a key of type 0x04', () => {
    expect(() => cosignatureVerifier(log.vkey)).toThrow('expected a verifier key of type 4, got 1')
  })
})

test('times and lengths outside the format are refused', () => {
  for (const time of [-1, 1.5, NaN, 2 ** 53]) {
    expect(() => cosignatureMessage(time, utf8(BODY))).toThrow(RangeError)
    expect(() => formatCosignature(time, new Uint8Array(64))).toThrow(RangeError)
    expect(() => cosignatureSigner(witness.signer, time)).toThrow(RangeError)
  }
  for (const length of [0, 63, 65]) expect(() => formatCosignature(TIME, new Uint8Array(length))).toThrow(RangeError)
  for (const length of [0, 71, 73]) expect(parseCosignature(new Uint8Array(length))).toBeUndefined()
  expect(parseCosignature(new Uint8Array(72).fill(255))).toBeUndefined()
  expect(cosignatureVerifier(witness.vkey).verify(utf8(BODY), new Uint8Array(72).fill(255))).toBe(false)
})
