// Labels: the only free words that facts may hold (docs/format.md §3). They are short and printable, so that an entry's size is
// bounded, and permanent, so that nothing personal belongs in them.

import { MisuseError } from '../base/errors.ts'

const LABEL = /^[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}$/

/** How a label must look, for messages. */
export const LABEL_SAYS = 'a label (1 to 128 of A-Z a-z 0-9 . _ : / + -, starting with a letter or digit)'

/** Whether `value` is a label. */
export function isLabel(value: unknown): value is string {
  return typeof value === 'string' && LABEL.test(value)
}

/** `text` as it is, if it is a label; otherwise a MisuseError that names `what`. For what the author of an agent chooses. */
export function label(text: string, what: string): string {
  if (isLabel(text)) return text
  const next = 'facts stay in the log for ever: choose a short name without personal data, and put the text into a payload'
  throw new MisuseError('bad_label', `event: expected ${what} to be ${LABEL_SAYS}, got ${quote(text)}`, next)
}

/** `text` as a label, for what a provider or a tool chooses: what does not fit becomes `other`, and `odd` is the text for a payload. */
export function foreignLabel(text: string): { label: string; odd?: string } {
  return isLabel(text) ? { label: text } : { label: 'other', odd: text }
}

const DECIMAL = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/

/** Whether `value` is a decimal: a number without exponent, as a string of at most 32 characters. */
export function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 32 && DECIMAL.test(value)
}

/** `value` as a decimal fact, or undefined where it has none of at most 32 characters (NaN, 1e-40, 1e21). `1e-7` becomes `0.0000001`. */
export function decimal(value: number): string | undefined {
  const [, sign, whole, fraction = '', exponent] = /^(-?)(\d)(?:\.(\d+))?e-(\d+)$/.exec(String(value)) ?? []
  const text = exponent === undefined ? String(value) : `${sign}0.${'0'.repeat(Number(exponent) - 1)}${whole}${fraction}`
  return isDecimal(text) ? text : undefined
}

/** `value` for a message: JSON, cut to 64 characters, or the type's name where JSON has no word for it. */
export function quote(value: unknown): string {
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') return typeof value
  if (typeof value === 'number') return String(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? `an array of ${value.length}` : 'an object'
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 64) : value)
}
