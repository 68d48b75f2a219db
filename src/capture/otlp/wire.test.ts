// Against @bufbuild/protobuf, which shares no code with it.

import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bytesField, varintField, WireFault, WireReader } from './wire.ts'

const uint64 = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), fc.integer({ min: 0, max: 63 }).map((bit) => 1n << BigInt(bit)), fc.integer({ min: 1, max: 64 }).map((bit) => (1n << BigInt(bit)) - 1n))

test('reads numbers and texts as they were written', () => {
  fc.assert(fc.property(uint64, fc.double(), fc.string({ unit: 'binary' }), fc.integer({ min: 1, max: 2 ** 29 - 1 }), (number, double, text, field) => {
    const writer = new BinaryWriter().tag(field, WireType.Varint).uint64(number).tag(1, WireType.Varint).int64(BigInt.asIntN(64, number)).tag(2, WireType.Bit64).fixed64(number).tag(3, WireType.Bit64).double(double)
    const reader = new WireReader(writer.tag(4, WireType.LengthDelimited).string(text).tag(5, WireType.Bit32).fixed32(Number(BigInt.asUintN(32, number))).finish())
    expect(reader.field()).toEqual({ number: field, type: 0 })
    expect(reader.uint64()).toBe(number)
    reader.field()
    expect(reader.int64()).toBe(BigInt.asIntN(64, number))
    reader.field()
    expect(reader.fixed64()).toBe(number)
    reader.field()
    expect(reader.double()).toBe(double)
    expect(reader.field()).toEqual({ number: 4, type: 2 })
    expect(reader.text()).toBe(text)
    reader.field()
    expect(reader.fixed32()).toBe(Number(BigInt.asUintN(32, number)))
    expect(reader.ended).toBe(true)
  }))
})

test('writes what others read', () => {
  fc.assert(fc.property(uint64, fc.string({ unit: 'binary' }), (number, text) => {
    const reader = new BinaryReader(Uint8Array.from([...varintField(1, number), ...bytesField(300, text)]))
    expect([reader.tag(), BigInt(reader.uint64()), reader.tag(), reader.string()]).toEqual([[1, 0], number, [300, 2], text])
  }))
})

test('passes by any field, and finds the next one', () => {
  const group = new BinaryWriter().tag(9, WireType.StartGroup).tag(1, WireType.Varint).uint32(5).tag(2, WireType.StartGroup).tag(2, WireType.EndGroup).tag(9, WireType.EndGroup)
  const reader = new WireReader(group.tag(7, WireType.LengthDelimited).string('x').tag(8, WireType.Bit32).fixed32(1).tag(6, WireType.Bit64).fixed64(1).tag(1, WireType.Varint).uint32(42).finish())
  for (const number of [9, 7, 8, 6]) {
    const field = reader.field()
    expect(field.number).toBe(number)
    reader.skip(field.number, field.type)
  }
  expect([reader.field(), reader.uint64()]).toEqual([{ number: 1, type: 0 }, 42n])
})

test('every message cut short is a fault, and never more is read than there is', () => {
  const whole = new BinaryWriter().tag(1, WireType.LengthDelimited).string('text').tag(2, WireType.Bit64).fixed64(1).tag(3, WireType.Varint).uint64(1n << 60n).tag(4, WireType.Bit32).fixed32(7).finish()
  const ends = [0, 6, 15, 25, 30]
  for (let length = 0; length <= whole.length; length++) {
    const read = (): void => {
      const reader = new WireReader(whole.subarray(0, length))
      while (!reader.ended) {
        const { number, type } = reader.field()
        reader.skip(number, type)
      }
    }
    if (ends.includes(length)) read()
    else expect(read, String(length)).toThrow(WireFault)
  }
})

test.each<[string, readonly number[]]>([
  ['a varint of 65 bits', [0x08, ...Array.from({ length: 9 }, () => 0xff), 0x02]], ['a varint without end', [0x08, ...Array.from({ length: 11 }, () => 0x80)]], ['field 0', [0x00, 0x01]], ['a field beyond 29 bits', [0x80, 0x80, 0x80, 0x80, 0x10, 0x01]],
  ['wire type 6', [0x0e]], ['wire type 7', [0x0f]], ['the end of a group that did not begin', [0x0c]], ['the end of another group', [0x0b, 0x14]], ['a length beyond the message', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]],
  ['groups without end in each other', Array.from({ length: 100_000 }, () => 0x0b)],
])('%s is a fault', (_what, bytes) => {
  const reader = new WireReader(Uint8Array.from(bytes))
  expect(() => {
    const { number, type } = reader.field()
    reader.skip(number, type)
  }).toThrow(WireFault)
})
