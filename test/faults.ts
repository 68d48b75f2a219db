// Faults at chosen steps: each call of a store, of a signer and of the file system that a piece of work makes is a step, and one of them fails, either before it is
// done or after it was done. Which steps there are, a run without a fault says: nobody lists them.

import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { StoreError } from '../src/base/errors.ts'
import type { Signer } from '../src/log/signer.ts'
import type { Store, StoreTx } from '../src/store/contract.ts'

export type Side = 'before' | 'after'

/** What fails: the step `at` (from 0), on one side of it; with `forGood` every step from there on, as on a disk that is gone. `full`: there was no room, and nothing was done. */
export interface Fault { readonly at: number; readonly side: Side; readonly forGood: boolean; readonly full?: boolean }

export class Faults {
  /** The names of the steps since `begin`. */
  steps: string[] = []
  /** How often something failed. */
  hits = 0
  #fault: Fault | undefined
  #counting = false

  /** Counts from here on, and has `fault` happen. */
  begin(fault?: Fault): void {
    this.steps = []
    this.hits = 0
    this.#fault = fault
    this.#counting = true
  }

  end(): void {
    this.#counting = false
    this.#fault = undefined
  }

  /** The side on which the step that begins now fails, if it does. */
  next(name: string): Side | undefined {
    if (!this.#counting) return undefined
    const at = this.steps.push(name) - 1
    const fault = this.#fault
    if (fault === undefined || (fault.forGood ? at < fault.at : at !== fault.at)) return undefined
    this.hits++
    return at === fault.at ? fault.side : 'before'
  }

  error(name: string): StoreError {
    return this.#fault?.full === true ? new StoreError('full', `store: no room, at ${name}`, 'make room, then try again', { retry: true }) : new StoreError('io', `store: the disk failed, at ${name}`, 'look at the disk')
  }

  async around<T>(name: string, call: () => Promise<T>): Promise<T> {
    const side = this.next(name)
    if (side === 'before') throw this.error(name)
    const result = await call()
    if (side === 'after') throw this.error(name)
    return result
  }
}

/** `store`, in which BEGIN, each call inside a transaction, and COMMIT are steps. After an error of COMMIT it is poisoned, as a driver has to be. */
export function faultyStore(store: Store, faults: Faults): Store {
  let poisoned: StoreError | undefined
  const sound = (): void => {
    if (poisoned !== undefined) throw poisoned
  }
  const poison = (): StoreError => (poisoned = new StoreError('poisoned', 'store: COMMIT failed, and whether it took effect is not known', 'open the store again'))
  return {
    name: store.name,
    read: (fn) => { sound(); return faults.around('read', () => store.read(fn)) },
    async append(fn) {
      sound()
      const begin = faults.next('BEGIN')
      if (begin === 'before') throw faults.error('BEGIN')
      const result = await store.append(async (tx) => {
        if (begin === 'after') throw faults.error('BEGIN')
        const done = await fn(faultyTx(tx, faults))
        const commit = faults.next('COMMIT')
        if (commit === 'before') throw poison()
        return { done, failed: commit === 'after' }
      })
      if (result.failed) throw poison()
      return result.done
    },
    wipe: () => { sound(); return faults.around('wipe', () => store.wipe()) },
    copyTo: (path) => { sound(); return faults.around('copyTo', () => store.copyTo(path)) },
    close: () => store.close(),
  }
}

function faultyTx(tx: StoreTx, faults: Faults): StoreTx {
  return new Proxy(tx, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => faults.around(String(name), () => Reflect.apply(value, target, args) as Promise<unknown>)
    },
  })
}

/** `signer`, whose signing is a step. */
export function faultySigner(signer: Signer, faults: Faults): Signer {
  return { vkey: signer.vkey, sign: (message) => faults.around('sign', () => Promise.resolve(signer.sign(message))) }
}

/** A copy of a folder with nothing open in it; cpSync forgets that others may not enter those inside. */
export function copyFolder(from: string, to: string): void {
  fs.rmSync(to, { recursive: true, force: true })
  fs.cpSync(from, to, { recursive: true, preserveTimestamps: true })
  for (const entry of fs.readdirSync(to, { recursive: true, withFileTypes: true })) if (entry.isDirectory()) fs.chmodSync(join(entry.parentPath, entry.name), 0o700)
}

const SYNC = ['openSync', 'writeSync', 'readSync', 'fsyncSync', 'renameSync', 'linkSync', 'unlinkSync', 'rmSync', 'mkdirSync', 'utimesSync', 'readdirSync', 'readFileSync', 'writeFileSync', 'statSync'] as const

/** Until `restore` is called, each call of `node:fs` that is about a file below `folder` is a step too. */
export function faultyFiles(folder: string, faults: Faults): () => void {
  const functions = fs as unknown as { [name: string]: (...args: unknown[]) => unknown }
  const real = new Map(SYNC.map((name) => [name, functions[name]!]))
  const ours = new Set<unknown>()
  for (const [name, call] of real) {
    functions[name] = (...args) => {
      const path = args.find((arg) => typeof arg === 'string' && arg.startsWith(folder))
      const side = path !== undefined || ours.has(args[0]) ? faults.next(name) : undefined
      const error = (): Error => Object.assign(new Error(`EIO: i/o error, ${name}`), { code: 'EIO', errno: -5, syscall: name })
      if (side === 'before') throw error()
      const result = Reflect.apply(call, fs, args)
      if (name === 'openSync') {
        if (path === undefined) ours.delete(result) // the number was one of ours before
        else ours.add(result)
      }
      if (side === 'after') {
        if (name === 'openSync') fs.closeSync(result as number)
        throw error()
      }
      return result
    }
  }
  syncBuiltinESMExports()
  return () => {
    for (const [name, call] of real) functions[name] = call
    syncBuiltinESMExports()
  }
}
