// Whether two JSON values are the same, whatever the order of their keys.

import { Absent } from '../event/view.ts'

const MAX_DEPTH = 64

/** False also for two values that are not there: what cannot be read cannot be called equal. */
export function sameJson(a: unknown, b: unknown, depth = 0): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b && a !== undefined
  if (a instanceof Absent || b instanceof Absent || depth > MAX_DEPTH) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const names = Object.keys(a)
  if (names.length !== Object.keys(b).length) return false
  return names.every((name) => Object.hasOwn(b, name) && sameJson(Reflect.get(a, name), Reflect.get(b, name), depth + 1))
}
