// Text from a record, made safe to show on a line: nothing in it can move a cursor, turn the reading direction, hide, end a line or
// close the quotes around it. And how wide it will be on a terminal.

/**
 * The text with everything invisible written out: `\n`, `\t`, `\r`, else `\u{1b}`; a backslash becomes two, so that the result is
 * unambiguous. Control and format characters, separators other than the space, lone surrogates, private and unassigned characters.
 */
export function visible(text: string): string {
  return text.replace(HIDDEN, (character) => NAMED[character] ?? `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** `visible`, in double quotes that nothing inside can close. */
export function quote(text: string): string {
  return `"${visible(text).replaceAll('"', '\\"')}"`
}

const HIDDEN = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/gu
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\t': '\\t', '\r': '\\r', '\\': '\\\\' }

/** Columns of a visible text on a terminal: 2 for wide characters and emoji, 0 for marks. */
export function columns(text: string): number {
  let count = 0
  for (const character of text) count += WIDE.test(character) ? 2 : /\p{M}/u.test(character) ? 0 : 1
  return count
}

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

/** The text cut to `width` columns, ending in `…` if something was cut. */
export function fit(text: string, width: number): string {
  if (columns(text) <= width) return text
  let kept = ''
  let used = 0
  for (const character of text) {
    const wide = columns(character)
    if (used + wide > width - 1) break
    kept += character
    used += wide
  }
  return `${kept}…`
}
