import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromBase64, toBase64 } from './bytes.ts'

test('base64 is the standard one, and goes there and back', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
    const text = toBase64(bytes)
    expect(text).toBe(Buffer.from(bytes).toString('base64'))
    expect(fromBase64(text)).toEqual(bytes)
  }))
})

test('no two texts stand for the same bytes', () => {
  for (let length = 0; length < 9; length++) {
    const text = toBase64(Uint8Array.from({ length }, (_, i) => 37 * i + 11))
    for (let i = 0; i <= text.length; i++) {
      for (const other of ['', 'A', 'B', '=', '/', '-', '_', ' ', '\n', '\0', 'é', '\u0141', '\uffff']) {
        const changed = text.slice(0, i) + other + text.slice(i + 1)
        let bytes: Uint8Array
        try {
          bytes = fromBase64(changed)
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError)
          continue
        }
        expect(toBase64(bytes)).toBe(changed)
      }
    }
  }
  for (const lenient of ['AB==', 'AAB=', 'A===', '====', 'AA=A', 'AAAA====']) expect(() => fromBase64(lenient), lenient).toThrow(TypeError)
})
