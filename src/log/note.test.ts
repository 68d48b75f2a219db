import { ed25519 } from '@noble/curves/ed25519.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { concat, toBase64, utf8 } from '../base/bytes.ts'
import {
  addSignature, COSIGNATURE_ED25519, ED25519, ed25519Verifier, formatNote, formatSignerKey, formatVerifierKey, MAX_NOTE_BYTES, noteKeyId, openNote,
  parseNote, parseSignerKey, parseVerifierKey, signNote, verifierKey, type NoteSigner,
} from './note.ts'

// The keys, text and signatures of golang.org/x/mod/sumdb/note's tests.
const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const PETER_SECRET = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const ENOCH = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
const TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const PETER_LINE = '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const ENOCH_LINE = '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n'

const peter = ed25519Verifier(PETER)
const enoch = ed25519Verifier(ENOCH)
const malformed = expect.objectContaining({ name: 'VerifyError', code: 'note_malformed' })
const falseSignature = expect.objectContaining({ name: 'VerifyError', code: 'note_signature' })
const unverified = expect.objectContaining({ name: 'VerifyError', code: 'note_unverified' })
const misuse = expect.objectContaining({ name: 'MisuseError', code: 'note_misuse' })

describe('verifier keys', () => {
  test('come back as they went in', () => {
    for (const vkey of [PETER, ENOCH]) expect(formatVerifierKey(parseVerifierKey(vkey))).toBe(vkey)
    expect(parseVerifierKey(PETER)).toMatchObject({ name: 'PeterNeumann', keyId: 0xc74f20a3, type: ED25519 })
  })

  test('are refused in any other form', () => {
    for (let from = 0; from <= PETER.length; from++) {
      for (let to = from; to <= PETER.length; to++) {
        if (from !== 0 || to !== PETER.length) expect(() => parseVerifierKey(PETER.slice(from, to))).toThrow(misuse)
      }
    }
    for (let i = 0; i < PETER.length; i++) {
      for (const by of [1, 2, 32]) {
        const other = PETER.slice(0, i) + String.fromCharCode(PETER.charCodeAt(i) ^ by) + PETER.slice(i + 1)
        expect(() => parseVerifierKey(other)).toThrow(misuse)
      }
    }
    expect(() => parseVerifierKey(`${PETER}\n`)).toThrow(misuse)
    expect(() => parseVerifierKey(`${PETER}=`)).toThrow(misuse)
  })

  test('may be of any type and of 1 to 5,000 bytes', () => {
    for (const length of [1, 1_312, 5_000]) {
      const key = verifierKey('a', 0xff, new Uint8Array(length).fill(7))
      expect(parseVerifierKey(formatVerifierKey(key))).toEqual(key)
    }
    for (const length of [0, 5_001]) {
      const vkey = formatVerifierKey(verifierKey('a', 0xff, new Uint8Array(length)))
      expect(() => parseVerifierKey(vkey)).toThrow('expected a verifier key name+id+base64')
    }
  })

  test('of another length, type or order make no Ed25519 verifier, though their id is right', () => {
    expect(() => ed25519Verifier('PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==')).toThrow(misuse)
    expect(() => ed25519Verifier('PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')).toThrow('expected a verifier key of type 1, got 101')
    expect(() => ed25519Verifier(verifierKey('a', COSIGNATURE_ED25519, parseVerifierKey(PETER).publicKey))).toThrow(misuse)
    expect(() => ed25519Verifier(verifierKey('a', ED25519, new Uint8Array(32)))).toThrow('canonical 32-byte Ed25519 public key')
    expect(() => ed25519Verifier(verifierKey('a', ED25519, new Uint8Array(31).fill(9)))).toThrow(misuse)
  })

  test.each(['', 'a b', 'a+b', 'a\u00a0b', 'a\u2003', 'a\nb', 'a\u0085', 'a\u0000', '\ud800'])('the name %j is refused', (name) => {
    expect(() => verifierKey(name, ED25519, new Uint8Array(32))).toThrow(misuse)
  })
})

describe('signer keys', () => {
  test('come back as they went in, and their seed has the public key of their id', () => {
    const key = parseSignerKey(PETER_SECRET)
    expect(formatSignerKey(key)).toBe(PETER_SECRET)
    expect(noteKeyId(key.name, key.type, ed25519.getPublicKey(key.seed))).toBe(key.keyId)
  })

  test('are refused in any other form, and never printed', () => {
    for (let from = 0; from <= PETER_SECRET.length; from++) {
      for (let to = from; to <= PETER_SECRET.length; to++) {
        if (from !== 0 || to !== PETER_SECRET.length) expect(() => parseSignerKey(PETER_SECRET.slice(from, to))).toThrow(misuse)
      }
    }
    for (const bad of [PETER_SECRET.replace('Peter', 'Peter '), PETER_SECRET.replace('Peter', 'Peter\n'), `${PETER_SECRET}A`, PETER_SECRET.replace('PRIVATE', 'private'), PETER_SECRET.replace('+c74f', '+C74f'), `${PETER_SECRET}\n`]) {
      expect(() => parseSignerKey(bad)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('AYEKFALV') as unknown }))
    }
    expect(() => formatSignerKey({ ...parseSignerKey(PETER_SECRET), seed: new Uint8Array(31) })).toThrow(misuse)
  })
})

describe('signing', () => {
  test('gives the note that Go gives', () => {
    expect(signNote(TEXT, [peterSigner()])).toBe(`${TEXT}\n${PETER_LINE}`)
  })

  test('replaces an earlier signature of the same key, and keeps the others as they are', () => {
    const stale = `${TEXT}\n${ENOCH_LINE}— PeterNeumann ${toBase64(concat(new Uint8Array([0xc7, 0x4f, 0x20, 0xa3]), new Uint8Array([1])))}\n`
    expect(addSignature(stale, peterSigner())).toBe(`${TEXT}\n${ENOCH_LINE}${PETER_LINE}`)
  })

  test('refuses texts and signers that could not be read back', () => {
    for (const text of ['', 'abc', 'a\rb\n', 'a\u0000\n', '\ud800\n', 'tab\t\n']) expect(() => signNote(text, [peterSigner()])).toThrow(misuse)
    expect(() => signNote(TEXT, [])).toThrow(misuse)
    expect(() => signNote(TEXT, [{ ...peterSigner(), name: 'bad name' }])).toThrow(misuse)
    for (const keyId of [2 ** 32, -1, 1.5, NaN]) expect(() => signNote(TEXT, [{ ...peterSigner(), keyId }])).toThrow(misuse)
    expect(() => signNote(TEXT, [{ ...peterSigner(), sign: () => new Uint8Array() }])).toThrow(misuse)
    expect(() => signNote(TEXT, Array.from({ length: 101 }, peterSigner))).toThrow(misuse)
    expect(() => signNote(`${'x'.repeat(MAX_NOTE_BYTES)}\n`, [peterSigner()])).toThrow(misuse)
    expect(() => signNote(TEXT, [{ ...peterSigner(), sign: () => { throw new Error('the key is away') } }])).toThrow('the key is away')
  })
})

describe('opening', () => {
  const both = `${TEXT}\n${PETER_LINE}${ENOCH_LINE}`

  test('tells verified from unverified signatures', () => {
    const one = openNote(both, [peter])
    expect(one.text).toBe(TEXT)
    expect(one.verified.map(({ name }) => name)).toEqual(['PeterNeumann'])
    expect(one.unverified.map(({ name }) => name)).toEqual(['EnochRoot'])
    expect(openNote(utf8(both), [enoch, peter]).verified.map(({ name }) => name)).toEqual(['PeterNeumann', 'EnochRoot'])
  })

  test('refuses a note that no known key signed', () => {
    expect(() => openNote(both, [])).toThrow(unverified)
    expect(() => openNote(`${TEXT}\n${ENOCH_LINE}`, [peter])).toThrow('expected a signature of a known key (PeterNeumann+c74f20a3), got EnochRoot+af0cfe78')
  })

  test('ignores a key of which only the name or only the id is known', () => {
    expect(() => openNote(`${TEXT}\n${PETER_LINE.replace('PeterNeumann', 'CarmenSandiego')}`, [peter])).toThrow(unverified)
    expect(() => openNote(`${TEXT}\n${PETER_LINE.replace('x08g', 'xxxx')}`, [peter])).toThrow(unverified)
  })

  test('refuses the whole note for one false signature of a known key, also beside a good one', () => {
    const bad = `${PETER_LINE.slice(0, 60)}ABCD${PETER_LINE.slice(60)}`
    expect(() => openNote(`${TEXT}\n${bad}`, [peter])).toThrow(falseSignature)
    expect(() => openNote(`${TEXT}\n${ENOCH_LINE}${bad}`, [peter, enoch])).toThrow(falseSignature)
    expect(() => openNote(`${TEXT}\n${PETER_LINE}${bad}`, [peter])).toThrow(falseSignature)
    expect(() => openNote(`${TEXT}.\n\n${PETER_LINE}`, [peter])).toThrow(falseSignature)
  })

  test('counts a key once, however often it signed', () => {
    expect(openNote(`${TEXT}\n${PETER_LINE.repeat(100)}`, [peter]).verified.length).toBe(1)
    expect(() => openNote(`${TEXT}\n${PETER_LINE.repeat(101)}`, [peter])).toThrow(malformed)
    expect(() => openNote(`${TEXT}\n${ENOCH_LINE.repeat(101)}`, [peter])).toThrow(malformed)
  })

  test('refuses two verifiers of one name and id', () => {
    expect(() => openNote(both, [peter, enoch, ed25519Verifier(PETER)])).toThrow(misuse)
  })

  test('splits at the last empty line: signature lines inside the text are text', () => {
    const text = `${TEXT}\n${ENOCH_LINE}\nmore\n`
    const note = signNote(text, [peterSigner()])
    expect(openNote(note, [peter]).text).toBe(text)
    expect(openNote(signNote('\n', [peterSigner()]), [peter]).text).toBe('\n')
    expect(() => openNote(`${TEXT}\n${PETER_LINE}\n${ENOCH_LINE}`, [peter])).toThrow(unverified)
    expect(() => openNote(`${TEXT}\n${PETER_LINE}\n${ENOCH_LINE}`, [enoch])).toThrow(falseSignature)
  })

  test.each([
    ['no signatures', TEXT],
    ['an empty signature block', `${TEXT}\n`],
    ['no newline at the end', `${TEXT}\n${PETER_LINE.slice(0, -1)}`],
    ['an empty line at the end', `${TEXT}\n${PETER_LINE}\n`],
    ['a control character', `\u0001${TEXT}\n${PETER_LINE}`],
    ['a carriage return', `${TEXT}\n${PETER_LINE.replace('\n', '\r\n')}`],
    ['a tab', `a\tb\n\n${PETER_LINE}`],
    ['a lone surrogate', `\ud800${TEXT}\n${PETER_LINE}`],
    ['a name with a space', `${TEXT}\n— Bad Name ${PETER_LINE.split(' ')[2]!}`],
    ['a name with a plus', `${TEXT}\n— Bad+Name ${PETER_LINE.split(' ')[2]!}`],
    ['a name with a no-break space', `${TEXT}\n— Bad\u00a0Name ${PETER_LINE.split(' ')[2]!}`],
    ['no name', `${TEXT}\n—  ${PETER_LINE.split(' ')[2]!}`],
    ['a hyphen for the dash', `${TEXT}\n${PETER_LINE.replace('—', '-')}`],
    ['another line among the signatures', `${TEXT}\n${PETER_LINE}Unexpected line.\n`],
    ['a fourth field', `${TEXT}\n${PETER_LINE.replace('\n', ' x\n')}`],
    ['base64 with bits after its end', `${TEXT}\n${PETER_LINE.replace('nAM=', 'nAN=')}`],
    ['base64 without padding', `${TEXT}\n${PETER_LINE.replace('nAM=', 'nAM')}`],
    ['URL-safe base64', `${TEXT}\n${PETER_LINE.replaceAll('/', '_')}`],
    ['a signature of no bytes', `${TEXT}\n— PeterNeumann x08gow==\n`],
    ['nothing', ''],
  ])('refuses %s as malformed', (_, note) => {
    expect(() => openNote(note, [peter])).toThrow(malformed)
    expect(() => parseNote(note)).toThrow(malformed)
  })

  test('refuses bytes that are not UTF-8, also overlong and surrogate forms', () => {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x80]]) {
      expect(() => openNote(concat(new Uint8Array(bytes), utf8(both)), [peter])).toThrow(malformed)
    }
  })

  test('a byte order mark is text, and changes it', () => {
    expect(() => openNote(utf8(`\ufeff${both}`), [peter])).toThrow(falseSignature)
  })

  test('may be as long, and signed as often, as its bounds say', () => {
    const filler = MAX_NOTE_BYTES - utf8(signNote('\n', [peterSigner()])).length
    const longest = signNote(`${'x'.repeat(filler)}\n`, [peterSigner()])
    expect(utf8(longest).length).toBe(MAX_NOTE_BYTES)
    expect(openNote(longest, [peter]).text.length).toBe(filler + 1)
    expect(openNote(utf8(longest), [peter]).text.length).toBe(filler + 1)
    expect(() => signNote(`${'x'.repeat(filler + 1)}\n`, [peterSigner()])).toThrow(misuse)
    const signatures = Array.from({ length: 100 }, (_, keyId) => ({ name: 'a', keyId, signature: new Uint8Array([1]) }))
    expect(parseNote(formatNote({ text: TEXT, signatures })).signatures).toEqual(signatures)
  })

  test('bounds the bytes of a note, counted in UTF-8', () => {
    expect(() => parseNote(`${'x'.repeat(MAX_NOTE_BYTES)}\n\n${PETER_LINE}`)).toThrow(malformed)
    expect(() => parseNote(new Uint8Array(MAX_NOTE_BYTES + 1).fill(0x0a))).toThrow('expected at most 1000000 bytes')
    expect(() => parseNote(`${'\u20ac'.repeat(MAX_NOTE_BYTES / 2)}\n\n${PETER_LINE}`)).toThrow('expected at most 1000000 bytes')
  })

  test('no bit flip of a note signed once is accepted', () => {
    const bytes = utf8(`${TEXT}\n${PETER_LINE}`)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
      expect(() => openNote(flipped, [peter])).toThrow(expect.objectContaining({ name: 'VerifyError' }))
    }
  })
})

test('what is formatted is parsed to the same note', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/[\p{White_Space}\p{Cc}+]/u.test(text))
  const signature = fc.record({ name, keyId: fc.integer({ min: 0, max: 2 ** 32 - 1 }), signature: fc.uint8Array({ minLength: 1, maxLength: 90 }) })
  const text = fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll(/\p{Cc}/gu, '')), { minLength: 1 }).map((lines) => `${lines.join('\n')}\n`)
  fc.assert(
    fc.property(fc.record({ text, signatures: fc.array(signature, { minLength: 1, maxLength: 5 }) }), (note) => {
      expect(parseNote(formatNote(note))).toEqual(note)
      expect(parseNote(utf8(formatNote(note)))).toEqual(note)
    }),
  )
})

test('a signer of another name is another key, though the secret is the same', () => {
  const [one, two] = [testSigner('one.example', 5), testSigner('two.example', 5)]
  expect(openNote(signNote(TEXT, [one.signer]), [ed25519Verifier(one.vkey)]).verified.length).toBe(1)
  expect(() => openNote(signNote(TEXT, [one.signer]), [ed25519Verifier(two.vkey)])).toThrow(unverified)
})

function peterSigner(): NoteSigner {
  const { name, keyId, seed } = parseSignerKey(PETER_SECRET)
  return { name, keyId, sign: (message) => ed25519.sign(message, seed) }
}
