import { expect, test } from 'vitest'
import { decimal, foreignLabel, isDecimal, isLabel, label } from './label.ts'

test('a label starts with a letter or digit and has at most 128 characters', () => {
  for (const good of ['a', '0', 'claude-opus-4-6', '/v1/messages'.slice(1), 'A._:/+-', 'x'.repeat(128)]) expect(isLabel(good)).toBe(true)
  for (const bad of ['', '-a', '/v1', ' a', 'a b', 'a\n', 'é', 'a@b', 'a=b', 'x'.repeat(129), 7, null, undefined, ['a']]) expect(isLabel(bad)).toBe(false)
})

test('what an author chooses and does not fit is misuse with expected, got and the next step', () => {
  expect(label('agent-1', 'agent_id')).toBe('agent-1')
  expect(() => label('Maria Huber', 'agent_id')).toThrow(/^event: expected agent_id to be a label .*, got "Maria Huber"; facts stay in the log for ever: .*payload$/)
  expect(() => label('x'.repeat(10_000), 'agent_id')).toThrow(expect.objectContaining({ code: 'bad_label', name: 'MisuseError' }))
})

test('what a provider chooses and does not fit becomes other, with its text kept for a payload', () => {
  expect(foreignLabel('end_turn')).toEqual({ label: 'end_turn' })
  expect(foreignLabel('customers/Maria Huber.pdf')).toEqual({ label: 'other', odd: 'customers/Maria Huber.pdf' })
  expect(foreignLabel('')).toEqual({ label: 'other', odd: '' })
})

test('a number becomes the decimal that reads back as the same number, or none', () => {
  for (const n of [0, 1, 0.7, -0.25, 1e-7, 1.5e-7, -2.25e-9, 123456.789]) {
    expect(Number(decimal(n))).toBe(n)
    expect(isDecimal(decimal(n))).toBe(true)
  }
  expect(decimal(1.5e-7)).toBe('0.00000015')
  for (const n of [Number.NaN, Number.POSITIVE_INFINITY, 1e21, 1e-40]) expect(decimal(n)).toBeUndefined()
})
