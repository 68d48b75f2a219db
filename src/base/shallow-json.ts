// JSON that somebody else wrote, for values that are walked or written again. `JSON.parse` takes a hundred thousand levels, and whatever
// recurses over its value then, `JSON.stringify` first, ends with "Maximum call stack size exceeded".

/** How deep it may nest: ten times what people write, a tenth of what a stack takes. */
export const MAX_LEVELS = 500

/** As `JSON.parse`, with a SyntaxError for more than 500 levels too. Takes one pass more over the text. */
export function parseShallowJson(text: string): unknown {
  if (text.length > 2 * MAX_LEVELS && levelsOf(text) > MAX_LEVELS) throw new SyntaxError(`base: expected at most ${MAX_LEVELS} levels of JSON`)
  return JSON.parse(text)
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d]

/** The deepest nesting in `text`; of what is no JSON any number. */
function levelsOf(text: string): number {
  let [depth, deepest] = [0, 0]
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      for (at++; at < text.length && text.charCodeAt(at) !== QUOTE; at++) if (text.charCodeAt(at) === BACKSLASH) at++
    } else if (code === OPEN_LIST || code === OPEN_OBJECT) {
      if (++depth > deepest) deepest = depth
    } else if (code === CLOSE_LIST || code === CLOSE_OBJECT) {
      depth--
    }
  }
  return deepest
}
