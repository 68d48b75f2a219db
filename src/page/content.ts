// Payload bytes as text to read: as they are, since JSON that is parsed and printed again may be another; characters that act, hide or
// reorder are written out, bytes are hex.

import { fromUtf8, toHex } from '../base/bytes.ts'

const SHOWN_BYTES = 4_096
/** More written-out characters than this in one text are not marked one by one: a text of nothing else would be a million elements. */
const MARKED = 1_000

/** The text of a payload, with everything in it that could act. For `foreign`, which makes it visible. */
export function contentText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    return `${bytes.length} bytes: ${toHex(bytes.subarray(0, SHOWN_BYTES))}${bytes.length > SHOWN_BYTES ? '…' : ''}`
  }
}

/** Controls but the line feed and the tab, format characters, separators, lone surrogates, what is private, unassigned, or may be drawn as nothing. */
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Cn}\p{Co}\p{Default_Ignorable_Code_Point}\u2800]/gu
/** What picks an emoji's colours is no secret. */
const EMOJI_STYLE = /^[\ufe0e\ufe0f]$/
/** As many marks as any language stacks; more would paint over the lines around them. */
const STACKED = /(\p{M}{4})(\p{M}+)/gu

/** `text` in pieces: as it is, and escapes (`\u202e`, `\u{e0041}`) in the place of what a reader would not see. */
export function pieces(text: string): (string | { readonly escape: string })[] {
  const found: (string | { readonly escape: string })[] = []
  let from = 0
  for (const { 0: hidden, index } of text.matchAll(HIDDEN)) {
    if (EMOJI_STYLE.test(hidden) && /\p{Emoji}$/u.test(text.slice(Math.max(0, index - 2), index))) continue
    if (found.length >= 2 * MARKED) return [...found, text.slice(from).replaceAll(HIDDEN, escape).replaceAll(STACKED, unstack)]
    if (index > from) found.push(text.slice(from, index).replaceAll(STACKED, unstack))
    found.push({ escape: escape(hidden) })
    from = index + hidden.length
  }
  if (from < text.length) found.push(text.slice(from).replaceAll(STACKED, unstack))
  return found
}

function escape(character: string): string {
  const code = character.codePointAt(0)!.toString(16)
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`
}

function unstack(_: string, kept: string, rest: string): string {
  return kept + Array.from(rest, escape).join('')
}
