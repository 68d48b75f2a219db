// A disk that loses power. What was fsynced is on it for certain; of what was written since, each sector may be there or not, in any order; a name that was
// made, changed or removed in a folder may be so or not until the folder was fsynced. That is less than journaling file systems promise, and what
// POSIX does. What it leaves out: a disk that says it has written what it has not.

import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

export interface Folder { readonly kind: 'folder'; durable: Map<string, Node>; names: Map<string, Node>; pending: Renaming[] }
export interface File { readonly kind: 'file'; durable: Buffer; size: number; pending: Change[] }
export type Node = Folder | File

/** Names of one folder that change together: a rename is one. */
interface Renaming { readonly at: number; readonly sets: readonly (readonly [name: string, node: Node | undefined])[] }
/** A write, or, without bytes, a new size. */
interface Change { readonly at: number; readonly offset: number; readonly bytes?: Buffer }

/** What is on the disk after the cut, by path; a folder's content is `undefined`. `lost` are files that no name leads to any more. */
export interface Remains { readonly files: ReadonlyMap<string, Buffer | undefined>; readonly lost: readonly Buffer[] }

/**
 * What becomes of that which was not fsynced: `none` or `all` of it is there, a `prefix` in the order of writing, `some` of it at random, all names but no
 * content (`names`: files of the right size, full of zeros), all but one change (`but one`), one change alone (`one`).
 */
export const FATES = ['none', 'all', 'prefix', 'some', 'names', 'but one', 'one'] as const
export type Fate = (typeof FATES)[number]

export class Disk {
  readonly root: Folder = folder()
  #at = 0
  readonly #files = new Set<File>()
  readonly #folders = new Set<Folder>([this.root])

  /** The node at `path`, of `/`-separated names below the root; undefined when there is none. */
  find(path: string): Node | undefined {
    let node: Node | undefined = this.root
    for (const name of path.split('/').filter((part) => part !== '' && part !== '.')) {
      if (node?.kind !== 'folder') return undefined
      node = node.names.get(name)
    }
    return node
  }

  /** Gives `path` to `node`, or to nobody. */
  set(path: string, node: Node | undefined): void {
    this.#rename(this.#folder(dirname(path)), [[basename(path), node]])
  }

  rename(from: string, to: string): void {
    const node = this.find(from)
    if (node === undefined) throw new Error(`no file ${from}`)
    if (dirname(from) === dirname(to)) return this.#rename(this.#folder(dirname(from)), [[basename(from), undefined], [basename(to), node]])
    this.set(to, node)
    this.set(from, undefined)
  }

  make(path: string, kind: Node['kind']): Node {
    const node = kind === 'folder' ? folder() : { kind, durable: Buffer.alloc(0), size: 0, pending: [] } satisfies File
    this.set(path, node)
    return node
  }

  write(file: File, offset: number, bytes: Buffer): void {
    file.pending.push({ at: this.#at++, offset, bytes })
    file.size = Math.max(file.size, offset + bytes.length)
  }

  resize(file: File, size: number): void {
    file.pending.push({ at: this.#at++, offset: size })
    file.size = size
  }

  /** How many changes there were so far: what an fsync that begins now covers. */
  get clock(): number {
    return this.#at
  }

  /** What of `node` changed before `clock` is on the disk for certain. */
  sync(node: Node, clock: number = this.#at): void {
    if (node.kind === 'folder') {
      for (const { sets } of node.pending.filter(({ at }) => at < clock)) apply(node.durable, sets)
      node.pending = node.pending.filter(({ at }) => at >= clock)
    } else {
      node.durable = contentOf(node, (change) => (change.at < clock ? 'whole' : 'lost'))
      node.pending = node.pending.filter(({ at }) => at >= clock)
    }
  }

  /** Everything is on the disk. */
  syncAll(node: Node = this.root): void {
    this.sync(node)
    if (node.kind === 'folder') for (const each of node.names.values()) this.syncAll(each)
  }

  /** The power goes, now. `random` gives numbers from 0 to 1. */
  cut(fate: Fate, random: () => number): Remains {
    const pending = [...this.#pending()].sort((a, b) => a - b)
    const chosen = pending[Math.floor(random() * pending.length)]
    const chance = [0.1, 0.5, 0.9][Math.floor(random() * 3)]!
    const sector = random() < 0.5 ? 512 : 4_096
    const survives = (at: number): boolean => {
      switch (fate) {
        case 'none': return false
        case 'all': case 'names': return true
        case 'prefix': return at < (chosen ?? 0)
        case 'some': return random() < chance
        case 'but one': return at !== chosen
        case 'one': return at === chosen
      }
    }
    const fateOf = (change: Change): 'whole' | 'lost' | 'size' | 'torn' => {
      if (fate === 'names') return 'size'
      if (fate === 'some' && change.bytes !== undefined) return 'torn'
      return survives(change.at) ? 'whole' : fate === 'but one' && random() < 0.5 ? 'size' : 'lost'
    }
    const contents = new Map<File, Buffer>()
    const content = (file: File): Buffer => {
      let bytes = contents.get(file)
      if (bytes === undefined) contents.set(file, (bytes = contentOf(file, fateOf, sector, () => random() < chance)))
      return bytes
    }
    const files = new Map<string, Buffer | undefined>()
    const walk = (at: Folder, path: string): void => {
      const names = new Map(at.durable)
      for (const { at: when, sets } of at.pending) if (survives(when)) apply(names, sets)
      for (const [name, node] of names) {
        const inside = path === '' ? name : `${path}/${name}`
        if (node.kind === 'file') files.set(inside, content(node))
        else {
          files.set(inside, undefined)
          walk(node, inside)
        }
      }
    }
    walk(this.root, '')
    return { files, lost: [...this.#files].filter((file) => !contents.has(file)).map(content) }
  }

  *#pending(): Generator<number> {
    for (const node of [...this.#files, ...this.#folders]) for (const { at } of node.pending) yield at
  }

  #folder(path: string): Folder {
    const node = this.find(path)
    if (node?.kind !== 'folder') throw new Error(`no folder ${path}`)
    return node
  }

  #rename(at: Folder, sets: Renaming['sets']): void {
    apply(at.names, sets)
    at.pending.push({ at: this.#at++, sets })
    for (const [, node] of sets) if (node?.kind === 'file') this.#files.add(node)
    else if (node !== undefined) this.#folders.add(node)
  }
}

/** Writes what remains to `path`, for its owner only, as everything of ours is. */
export function laidOut({ files }: Remains, path: string): void {
  mkdirSync(path, { recursive: true })
  for (const [name, bytes] of files) {
    if (bytes === undefined) mkdirSync(join(path, name), { mode: 0o700 })
    else writeFileSync(join(path, name), bytes, { mode: 0o600 })
  }
}

function folder(): Folder {
  return { kind: 'folder', durable: new Map(), names: new Map(), pending: [] }
}

function apply(names: Map<string, Node>, sets: Renaming['sets']): void {
  for (const [name, node] of sets) {
    if (node === undefined) names.delete(name)
    else names.set(name, node)
  }
}

/** A file's bytes when of its pending changes those are there that `fateOf` says: a torn one by sectors, one of which only the size is there as zeros. */
function contentOf(file: File, fateOf: (change: Change) => 'whole' | 'lost' | 'size' | 'torn', sector = 512, there: () => boolean = () => true): Buffer {
  let bytes = Buffer.alloc(Math.max(file.durable.length, ...file.pending.map((change) => change.offset + (change.bytes?.length ?? 0))))
  file.durable.copy(bytes)
  let size = file.durable.length
  for (const change of file.pending) {
    const fate = fateOf(change)
    if (fate === 'lost') continue
    if (change.bytes === undefined) {
      if (change.offset < size) bytes.fill(0, change.offset, size)
      size = change.offset
      continue
    }
    const end = change.offset + change.bytes.length
    if (fate === 'size') size = Math.max(size, end)
    else if (fate === 'whole') {
      change.bytes.copy(bytes, change.offset)
      size = Math.max(size, end)
    } else {
      for (let at = change.offset; at < end; ) {
        const next = Math.min(end, (Math.floor(at / sector) + 1) * sector)
        if (there()) {
          change.bytes.copy(bytes, at, at - change.offset, next - change.offset)
          size = Math.max(size, next)
        }
        at = next
      }
    }
  }
  bytes = bytes.subarray(0, size)
  return Buffer.from(bytes)
}
