// What `trail.export` is asked for, read before it goes to the worker: a name that is misspelt would disclose less than was meant, or more.

import { MisuseError } from '../base/errors.ts'
import { quote } from '../event/label.ts'
import type { BundleOrder, Disclose, DisclosedPayload } from '../ledger/bundle.ts'
import type { ExportOrder } from './types.ts'

export type { Disclose, DisclosedPayload, EarlierPayload, ExportedBundle } from '../ledger/bundle.ts'

/** `order` with its defaults. MisuseErrors for what it cannot be. */
export function bundleOrder(order: ExportOrder, checkSessionId: (session_id: unknown) => void): BundleOrder {
  checkNames(order, ['session_id', 'disclose', 'witnesses'], 'an option of export')
  const { session_id, disclose = 'none', witnesses = [] } = order
  checkSessionId(session_id)
  if (!Array.isArray(witnesses) || witnesses.some((key) => typeof key !== 'string')) throw new MisuseError('bad_option', `export: expected witnesses to be verifier keys, got ${quote(witnesses)}`, 'for example witnesses: [vkey]')
  return { session_id, disclose: checkDisclose(disclose), witnesses }
}

function checkDisclose(disclose: Disclose): Disclose {
  if (disclose === 'none' || disclose === 'all') return disclose
  if (!Array.isArray(disclose)) throw new MisuseError('bad_disclose', `export: expected disclose to be none, all or a list, got ${quote(disclose)}`, NEXT)
  return (disclose as readonly DisclosedPayload[]).map((each) => {
    checkNames(each, ['index', 'slot', 'position'], 'a part of what is disclosed')
    const { index, slot, position } = each
    if (!isPlace(index) || (slot !== undefined && typeof slot !== 'string') || (position !== undefined && position !== 'all' && !isPlace(position))) throw new MisuseError('bad_disclose', `export: expected { index, slot, position }, got ${quote(each)}`, NEXT)
    if (position !== undefined && slot === undefined) throw new MisuseError('bad_disclose', `export: expected a slot beside the position ${position}`, NEXT)
    return { ...each }
  })
}

const NEXT = "for example [{ index: 14 }, { index: 21, slot: 'input_messages', position: 3 }]"

function isPlace(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function checkNames(value: unknown, known: readonly string[], what: string): void {
  if (typeof value !== 'object' || value === null) throw new MisuseError('bad_option', `export: expected ${what}, got ${quote(value)}`, NEXT)
  for (const name of Object.keys(value)) if (!known.includes(name)) throw new MisuseError('unknown_option', `export: expected ${what}, got ${quote(name)}`, `there are ${known.join(', ')}`)
}
