import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cutObject, joinMembers } from './json-slices.ts'

test('members and elements are the source, to the byte', () => {
  const cut = cutObject(' {"a" : 1.0 ,"\\u0062":[ "x\\"]}" , {"k":[1,{}]} ,-1e5, null ] , "a":{ "c" : "\\\\" }}\n')!
  expect(cut.members).toEqual([{ key: 'a', text: '1.0' }, { key: 'b', text: '[ "x\\"]}" , {"k":[1,{}]} ,-1e5, null ]' }, { key: 'a', text: '{ "c" : "\\\\" }' }])
  expect(cut.elements('b')).toEqual(['"x\\"]}"', '{"k":[1,{}]}', '-1e5', 'null'])
  expect(cut.text('a')).toBe('{ "c" : "\\\\" }')
  expect(cut.object('a')!.text('c')).toBe('"\\\\"')
  expect([cut.elements('a'), cut.object('b'), cut.text('z'), cut.value('z')]).toEqual([undefined, undefined, undefined, undefined])
})

test('what is no JSON object is said to be none', () => {
  for (const text of ['', '[]', '1', '"{}"', 'null', '{', '{"a":}', '{"a":1,}', "{'a':1}", '{}x', '\ufeff{}']) expect(cutObject(text), text).toBeUndefined()
  expect(cutObject('{}')!.members).toEqual([])
})

test('names of the prototype are names like others', () => {
  const cut = cutObject('{"__proto__":{"model":"evil"},"constructor":1}')!
  expect(cut.value('model')).toBeUndefined()
  expect(cut.value('toString')).toBeUndefined()
  expect(cut.text('hasOwnProperty')).toBeUndefined()
  expect(cut.object('__proto__')!.value('model')).toBe('evil')
  expect(joinMembers(cut.members)).toBe('{"__proto__":{"model":"evil"},"constructor":1}')
  expect(({} as { model?: unknown }).model).toBeUndefined()
})

test('any object, in any spelling, is cut into its members and joined again', () => {
  const space = fc.constantFrom('', ' ', '\n\t', '\r\n  ')
  fc.assert(fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), space, fc.boolean(), (object, gap, pretty) => {
    const text = gap + JSON.stringify(object, null, pretty ? 1 : undefined) + gap
    const cut = cutObject(text)!
    expect(Object.fromEntries(cut.members.map((member) => [member.key, JSON.parse(member.text)]))).toEqual(JSON.parse(text))
    for (const { text: slice } of cut.members) expect(text.includes(slice)).toBe(true)
    expect(JSON.parse(joinMembers(cut.members))).toEqual(JSON.parse(text))
    const list = cutObject(`{"list":${JSON.stringify(Object.values(object), null, 2)}}`)!
    expect(list.elements('list')!.map((slice) => JSON.parse(slice) as unknown)).toEqual(JSON.parse(JSON.stringify(Object.values(object))))
  }))
})

test('a million levels and a million escapes are no trouble', () => {
  const deep = `${'['.repeat(1e6)}${']'.repeat(1e6)}`
  expect(cutObject(`{"a":${deep}}`)!.elements('a')).toEqual([deep.slice(1, -1)])
  const escapes = `"${'\\"'.repeat(1e6)}"`
  expect(cutObject(`{"a":${escapes}}`)!.text('a') === escapes).toBe(true)
})
