// Payload bytes as text to read: as they are, since JSON that is parsed and printed again may be another; characters that act or reorder
// are made visible, bytes are hex.

import { fromUtf8, toHex } from '../base/bytes.ts'

const SHOWN_BYTES = 4_096

/** The text of a payload. */
export function contentText(bytes: Uint8Array): string {
  let text: string
  try {
    text = fromUtf8(bytes)
  } catch {
    return `${bytes.length} bytes: ${toHex(bytes.subarray(0, SHOWN_BYTES))}${bytes.length > SHOWN_BYTES ? '…' : ''}`
  }
  return visible(text)
}

/** Controls and marks that turn the direction of text would show another text than is on record. */
function visible(text: string): string {
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
