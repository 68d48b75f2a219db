// The second verifier, in Python (test/interop/python), asked beside ours: one process, a question a line.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const FOLDER = join(import.meta.dirname, 'python')

/** Why it cannot be asked here, if so. */
export const noPython: string | undefined = (() => {
  const { status, error } = spawnSync('python3', ['-c', 'import sys, cryptography; sys.exit(sys.version_info < (3, 10))'])
  if (error !== undefined) return 'there is no `python3` on this machine'
  return status === 0 ? undefined : 'python3 is older than 3.10 or has no package `cryptography`'
})()

/** What it says of a file: see `verify.py`. */
export interface Said {
  readonly whole: boolean
  readonly first_bad_index: number | null
  readonly codes: readonly string[]
  readonly newer_format: boolean
  readonly exit_code: number
  readonly error?: string
  readonly counts?: { readonly [name: string]: number }
  readonly keys?: readonly { readonly vkey: string; readonly from: number; readonly to?: number; readonly last_good_size?: number }[]
  readonly doubtful?: readonly (readonly [number, number])[]
  readonly whose?: 'unknown' | 'proved' | 'asserted'
  readonly problems: readonly { readonly code: string; readonly index: number | null; readonly says: string }[]
}

const ended = (): Error => new Error('python3 ended before it answered; what it said stands above')

export type Answer<T> = { readonly is: T } | { readonly refused: string }

/** A Python that answers until it is closed; answers come in the order of the questions. */
export class Python {
  readonly #child: ChildProcess
  readonly #waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = []
  #gone = false

  constructor() {
    this.#child = spawn('python3', ['-B', join(FOLDER, 'compare.py')], { stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#waiting.shift()?.resolve(line))
    this.#child.on('exit', () => {
      this.#gone = true
      for (const { reject } of this.#waiting.splice(0)) reject(ended())
    })
  }

  async ask<T>(question: object): Promise<Answer<T>> {
    if (this.#gone) throw ended()
    const line = await new Promise<string>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#child.stdin!.write(`${JSON.stringify(question)}\n`)
    })
    return JSON.parse(line) as Answer<T>
  }

  close(): void {
    this.#child.stdin!.end()
  }
}
