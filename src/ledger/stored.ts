// A row of the entries, parsed.

import { fromUtf8, toBase64 } from '../base/bytes.ts'
import { parseEntry, parseEntryText } from '../event/parse.ts'
import type { StoredEntry } from '../event/views.ts'
import { leafHash } from '../log/hash.ts'
import type { EntryRow } from '../store/contract.ts'

/** The entry, and its entry hash. A VerifyError when it is none. */
export function storedOf({ entry }: EntryRow): StoredEntry {
  return { entry: (isAscii(entry) ? parseEntryText(fromUtf8(entry)) : parseEntry(entry)).entry, entry_hash: toBase64(leafHash(entry)) }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return false
  return true
}
