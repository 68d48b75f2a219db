// What a misspelt name may have been meant as, for messages.

const MOST = 3

/** Those of `names` that `text` may stand for, nearest first, at most 3: two edits away, or one within the other. */
export function nearest(text: string, names: Iterable<string>): string[] {
  const given = letters(text.slice(0, 64))
  const found: { name: string; distance: number }[] = []
  for (const name of names) {
    const known = letters(name)
    const distance = given.length > 2 && (known.includes(given) || given.includes(known)) ? 1.5 : editDistance(given, known)
    if (distance <= 2) found.push({ name, distance })
  }
  return found.toSorted((a, b) => a.distance - b.distance).slice(0, MOST).map(({ name }) => name)
}

/** `did you mean a or b?`, or nothing where no name is near. */
export function didYouMean(text: string, names: Iterable<string>): string {
  const near = nearest(text, names)
  return near.length === 0 ? '' : `did you mean ${near.join(' or ')}?`
}

function letters(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

/** Levenshtein's: letters put in, left out or replaced. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
