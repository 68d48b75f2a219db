// How far a spool is sent: a file beside it, `<spool>.sent`. It may lag behind what the server has, never run ahead: an event that is sent again
// is answered with its old receipt. And who of several processes sends a spool that a dead one left: `<spool>.by`.

import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { ownerState, thisOwner, type Owner } from '../spool/owner.ts'
import { removeSpool } from '../spool/folder.ts'

/** The offset up to which the spool at `path` is acknowledged; 0 where that is not known. */
export function readOffset(path: string): number {
  const text = read(`${path}.sent`)
  return text !== undefined && /^\d{1,15}\n$/.test(text) ? Number(text) : 0
}

export function writeOffset(path: string, offset: number): void {
  writeFileSync(`${path}.sent.new`, `${offset}\n`, { mode: 0o600 })
  renameSync(`${path}.sent.new`, `${path}.sent`)
}

/** Deletes a spool with what stands beside it. Only when it is sent to its end and nobody appends to it any more. */
export function removeSent(path: string): void {
  removeSpool(path)
  for (const beside of ['.sent', '.by']) rmSync(`${path}${beside}`, { force: true })
}

/** Whether this process is the one to send the spool of a dead one. Two at once would do no harm but the same work twice. */
export function claim(path: string): boolean {
  const owner = JSON.stringify(thisOwner())
  try {
    const fd = openSync(`${path}.by`, 'wx', 0o600)
    try {
      writeSync(fd, owner)
    } finally {
      closeSync(fd)
    }
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const text = read(`${path}.by`)
  if (text === owner) return true
  if (text === undefined || stillSends(text)) return false
  rmSync(`${path}.by`, { force: true }) // the next look may have it
  return false
}

function stillSends(text: string): boolean {
  try {
    return ownerState(JSON.parse(text) as Owner) !== 'dead'
  } catch {
    return text === '' // being written, or cut off with its process
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
