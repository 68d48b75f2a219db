// A payload for somebody who may see its form and not what it says: the same structure, with every text, number and truth value in it replaced.
// What is shown all the same: how long texts are, how many elements lists have, what is null, and member names that read like names in a program.

/** Names of members that stay: what programs call things. Others may be data that became a key: an address, a number, a name with a space. */
const NAME = /^[A-Za-z_$][A-Za-z0-9_$-]{0,63}$/
/** What is deeper is replaced whole. */
const MAX_DEPTH = 64

/** `value` masked. A text becomes `[12 characters]`, bytes `[12 bytes]`, a number `[number]`, true and false `[boolean]`; null stays null. */
export function maskValue(value: unknown, depth = 0): unknown {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return `[${value.length} characters]`
  if (value instanceof Uint8Array) return `[${value.length} bytes]`
  if (typeof value !== 'object') return `[${typeof value}]`
  if (depth >= MAX_DEPTH) return '[deeper]'
  if (Array.isArray(value)) return value.map((each) => maskValue(each, depth + 1))
  const masked: Record<string, unknown> = {}
  let hidden = 0
  for (const [name, each] of Object.entries(value)) {
    const shown = NAME.test(name) && name !== '__proto__' ? name : `[name ${++hidden}]`
    masked[shown] = maskValue(each, depth + 1)
  }
  return masked
}
