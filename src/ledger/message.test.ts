// What crosses to the recording thread and back: an Absent stays one, nothing else becomes one, and one object stays one object.

import { expect, test } from 'vitest'
import { Absent } from '../event/view.ts'
import { errorData, errorFrom, packAbsent, unpackAbsent } from './message.ts'

const MARK = 'mark-1f2e'
const across = <T>(value: T): T => unpackAbsent(structuredClone(packAbsent(value, MARK)), MARK)

test('an Absent comes across wherever events hold one', () => {
  const page = { items: [{ user_id: new Absent('erased', 7), input_messages: ['a', new Absent('missing'), { role: 'user' }], tool_input: new Absent('no_key') }], next: null }
  const read = across(page)
  expect(read).toEqual(page)
  expect(read.items[0]!.user_id).toBeInstanceOf(Absent)
  expect(read.items[0]!.input_messages[1]).toBeInstanceOf(Absent)
  expect(page.items[0]!.user_id).toBeInstanceOf(Absent) // what was sent is as it was
})

test('recorded content that looks like one does not become one, and keeps its odd names', () => {
  const content = JSON.parse('{"absent":"erased","by":3,"__proto__":{"polluted":true},"constructor":1}') as object
  const [event] = across([{ tool_input: content as unknown, error: new Absent('masked') }])
  expect(event.tool_input).not.toBeInstanceOf(Absent)
  expect(JSON.stringify(event.tool_input)).toBe(JSON.stringify(content))
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

test('a message that stands in many lists is one object, beside an Absent too', () => {
  const message = { role: 'user', content: [{ type: 'text', text: 'hello' }] }
  const gone = new Absent('erased', 1)
  const events = across([{ input_messages: [message] }, { input_messages: [message, gone] }, { input_messages: [gone, message] }])
  expect(events[1]!.input_messages[0]).toBe(events[0]!.input_messages[0])
  expect(events[2]!.input_messages[1]).toBe(events[0]!.input_messages[0])
  expect(events[1]!.input_messages[1]).toBe(events[2]!.input_messages[0])
})

test('what the system says of a disk is no defect of ours, and says where to look', () => {
  const eio = Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', errno: -5, syscall: 'fsync' })
  expect(errorFrom(errorData(eio))).toMatchObject({ name: 'StoreError', code: 'disk_failed', message: expect.stringContaining('EIO: i/o error, fsync'), next: expect.stringContaining('see to the disk') })
  expect(errorFrom(errorData(new Error('what?')))).toMatchObject({ code: 'internal', next: expect.stringContaining('report it') })
})
