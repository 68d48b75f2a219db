// An archive in a folder. Files are written under `.tmp/` and renamed, so that a reader never meets half of one; what a killed run left there
// goes when the next one begins.

import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { equal } from '../base/bytes.ts'
import { StoreError, VerifyError } from '../base/errors.ts'
import type { ArchiveFiles, WritableArchive } from './files.ts'

const TEMPORARY = '.tmp'

/** The archive in `folder`, to read. */
export function archiveFolder(folder: string): ArchiveFiles {
  return {
    name: folder,
    read: (path, maxBytes) => readWhole(join(folder, path), maxBytes),
    names: (path) => namesIn(join(folder, path)),
  }
}

/** The archive in `folder`, to write; the folder is made if need be. One writer at a time: a second one makes the first fail. */
export async function writableFolder(folder: string): Promise<WritableArchive> {
  const reading = archiveFolder(folder)
  const folders = new Set<string>() // with new names in them, which a power cut could take
  let made = 0
  const first = await attempt(folder, () => mkdir(folder, { recursive: true }))
  if (first !== undefined) for (let at = resolve(folder); at.length >= first.length; at = dirname(at)) folders.add(dirname(at))
  return {
    ...reading,
    names: async (path) => (await reading.names(path)).filter((name) => name !== TEMPORARY),
    async write(path, bytes) {
      const target = join(folder, path)
      const there = await reading.read(path, Math.max(bytes.length, 1)).catch((error: unknown) => { if (!(error instanceof VerifyError)) throw error; return undefined })
      if (there !== undefined && equal(there, bytes)) return false
      await attempt(target, async () => {
        if (made === 0) await rm(join(folder, TEMPORARY), { recursive: true, force: true })
        await mkdir(join(folder, TEMPORARY), { recursive: true })
        const temporary = join(folder, TEMPORARY, String(made++))
        await using file = await open(temporary, 'w')
        await file.writeFile(bytes)
        await file.datasync()
        await mkdir(dirname(target), { recursive: true })
        await rename(temporary, target)
      })
      for (let at = dirname(target); at.length >= folder.length; at = dirname(at)) folders.add(at)
      return true
    },
    remove: (path) => attempt(path, () => rm(join(folder, path), { recursive: true, force: true })),
    async sync() {
      for (const path of folders) await attempt(path, async () => {
        await using file = await open(path, 'r')
        await file.sync()
      })
      folders.clear()
      await attempt(folder, () => rm(join(folder, TEMPORARY), { recursive: true, force: true }))
    },
  }
}

async function readWhole(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  return attempt(path, async () => {
    const found = await stat(path).catch(nothing)
    if (found === undefined) return undefined
    if (!found.isFile()) throw badFile(path, 'a plain file, got another kind') // a pipe would never end
    if (found.size > maxBytes) throw badFile(path, `at most ${maxBytes} bytes, got ${found.size}`)
    return readFile(path).catch(nothing)
  })
}

async function namesIn(path: string): Promise<string[]> {
  return attempt(path, async () => (await readdir(path).catch(nothing)) ?? [])
}

function nothing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
  throw error
}

function badFile(path: string, expected: string): VerifyError {
  return new VerifyError('archive_file', `archive: expected ${expected}, at ${path}`, 'compare with another copy')
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof VerifyError) throw error
    const { code = '', message } = error as NodeJS.ErrnoException
    throw new StoreError(code === 'ENOSPC' ? 'full' : 'io', `archive: ${path}: ${message}`, 'put that right and run it again: it goes on where it stopped', { cause: error, retry: true })
  }
}
