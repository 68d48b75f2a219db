// Key files under a passphrase (docs/format.md §7.1). The passphrase opens one file, passphrase.key, which holds a random folder key; that seals every
// other secret of the folder. So a passphrase is changed by replacing one file, and derived once for a folder, however many files it has.
//
//   passphrase.key   0x02 ‖ log2 N u8 ‖ r u8 ‖ p u8 ‖ salt[32] ‖ ciphertext[32] ‖ tag[16]     key ‖ nonce = HKDF(scrypt(passphrase, salt, N, r, p, 32), salt, …)
//   others           0x02 ‖ random[32] ‖ ciphertext[32] ‖ tag[16]                              key ‖ nonce = HKDF(folder key, random, … ‖ 0x00 ‖ use)
//
// AES-256-GCM, the bytes before the ciphertext as additional data.

import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto'
import { concat, utf8 } from '../base/bytes.ts'
import { MisuseError, StoreError } from '../base/errors.ts'
import { deriveSealing, type Purpose } from './derive.ts'
import { formatKeyText, readKeyText, SEALED } from './key-text.ts'

export const PASSPHRASE_FILE = 'passphrase.key'

/** What scrypt costs: N = 2^`logN`, and 128 · N · r bytes of memory. The default takes 128 MiB and some 0.4 s. */
export interface Cost { readonly logN: number; readonly r: number; readonly p: number }
export const DEFAULT_COST: Cost = { logN: 17, r: 8, p: 1 }
/** The bounds of what is read: a file must not make a process take all memory, nor stand for a passphrase that costs nothing to guess. */
const BOUNDS = { logN: [14, 20], r: [8, 16], p: [1, 4], memory: 256 * 1024 * 1024 } as const

const USE = 'passphrase'
const HEAD_BYTES = 36
const MAX_PASSPHRASE_BYTES = 1_024

/** The open protection of one key folder. */
export class Protection {
  readonly origin: string
  /** The content of passphrase.key. */
  readonly text: string
  readonly #key: Uint8Array

  private constructor(origin: string, key: Uint8Array, text: string) {
    this.origin = origin
    this.#key = key
    this.text = text
  }

  /** A new folder key under `passphrase`. */
  static create(origin: string, passphrase: string, cost: Cost = DEFAULT_COST): Protection {
    return Protection.#under(origin, Uint8Array.from(randomBytes(32)), passphrase, cost)
  }

  static #under(origin: string, key: Uint8Array, passphrase: string, cost: Cost): Protection {
    checkCost(cost)
    const salt = Uint8Array.from(randomBytes(32))
    const head = concat(Uint8Array.of(SEALED, cost.logN, cost.r, cost.p), salt)
    const sealed = seal(stretch(passphrase, salt, cost), { label: 'counterfoil/passphrase/v1', origin, salt }, head, key)
    return new Protection(origin, key, formatKeyText(USE, origin, key, sealed))
  }

  /** What `text`, a passphrase.key, protects. StoreError `passphrase_wrong`; a TypeError for a text that is not of the form. */
  static open(origin: string, text: string, passphrase: string, folder: string): Protection {
    const { bytes, matches } = readKeyText(text, USE, origin)
    if (bytes.length !== HEAD_BYTES + 48 || bytes[0] !== SEALED) throw new TypeError(`expected ${HEAD_BYTES + 48} bytes that start with ${SEALED}, got ${bytes.length} that start with ${bytes[0]}`)
    const cost = { logN: bytes[1]!, r: bytes[2]!, p: bytes[3]! }
    checkCost(cost)
    const salt = bytes.subarray(4, HEAD_BYTES)
    const key = unseal(stretch(passphrase, salt, cost), { label: 'counterfoil/passphrase/v1', origin, salt }, bytes, HEAD_BYTES)
    if (key === undefined || !matches(key)) throw new StoreError('passphrase_wrong', `vault: the passphrase does not open ${folder}`, `type it again; if it is right, ${PASSPHRASE_FILE} is damaged: restore it from a copy`)
    return new Protection(origin, key, text)
  }

  /** The same folder key under another passphrase. */
  changed(passphrase: string, cost: Cost = DEFAULT_COST): Protection {
    return Protection.#under(this.origin, this.#key, passphrase, cost)
  }

  /** Whether `text`, a passphrase.key, is of the same folder key, whatever its passphrase. */
  isOf(text: string): boolean {
    try {
      return readKeyText(text, USE, this.origin).matches(this.#key)
    } catch {
      return false
    }
  }

  /** The text of a key file for the 32 bytes `key`. */
  seal(use: string, key: Uint8Array): string {
    const random = Uint8Array.from(randomBytes(32))
    return formatKeyText(use, this.origin, key, seal(this.#key, this.#purpose(use, random), concat(Uint8Array.of(SEALED), random), key))
  }

  /** The 32 bytes in `bytes`, the data of a key file; undefined where they are damaged or of another folder key. */
  unseal(use: string, bytes: Uint8Array): Uint8Array | undefined {
    return bytes.length === 81 ? unseal(this.#key, this.#purpose(use, bytes.subarray(1, 33)), bytes, 33) : undefined
  }

  #purpose(use: string, salt: Uint8Array): Purpose & { salt: Uint8Array } {
    return { label: 'counterfoil/key-file/v1', origin: this.origin, context: utf8(use), salt }
  }
}

function seal(secret: Uint8Array, purpose: Purpose & { readonly salt: Uint8Array }, head: Uint8Array, plain: Uint8Array): Uint8Array {
  const { key, nonce } = deriveSealing(secret, purpose)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(head)
  const sealed = cipher.update(plain)
  cipher.final()
  return concat(head, sealed, cipher.getAuthTag())
}

function unseal(secret: Uint8Array, purpose: Purpose & { readonly salt: Uint8Array }, bytes: Uint8Array, head: number): Uint8Array | undefined {
  const { key, nonce } = deriveSealing(secret, purpose)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 }).setAAD(bytes.subarray(0, head)).setAuthTag(bytes.subarray(-16))
  try {
    const plain = decipher.update(bytes.subarray(head, -16))
    decipher.final()
    return Uint8Array.from(plain)
  } catch {
    return undefined
  }
}

/** The same passphrase typed on another keyboard may be other characters of the same letters: NFC makes them one. */
function stretch(passphrase: string, salt: Uint8Array, { logN, r, p }: Cost): Uint8Array {
  const bytes = utf8(passphrase.normalize('NFC'))
  if (bytes.length === 0 || bytes.length > MAX_PASSPHRASE_BYTES || !passphrase.isWellFormed()) throw new MisuseError('bad_passphrase', `vault: expected a passphrase of 1 to ${MAX_PASSPHRASE_BYTES} bytes, got ${bytes.length}`, 'choose another')
  return Uint8Array.from(scryptSync(bytes, salt, 32, { N: 2 ** logN, r, p, maxmem: 2 * BOUNDS.memory }))
}

function checkCost(cost: Cost): void {
  for (const name of ['logN', 'r', 'p'] as const) {
    const [least, most] = BOUNDS[name]
    if (cost[name] < least || cost[name] > most) throw new TypeError(`expected ${name} from ${least} to ${most}, got ${cost[name]}`)
  }
  if (128 * 2 ** cost.logN * cost.r > BOUNDS.memory) throw new TypeError(`expected scrypt to take at most ${BOUNDS.memory} bytes`)
}
