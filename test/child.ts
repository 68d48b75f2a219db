// A script in a process of its own, for what a process does to itself: ends, is killed, runs out of memory.

import { spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Ended { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly stdout: string; readonly stderr: string }

export interface ChildOptions {
  /** Arguments of node itself. */
  readonly node?: readonly string[]
  /** A command in front of node, for example strace. */
  readonly prefix?: readonly string[]
  /** A folder that the child may write in, and everybody else too. */
  readonly open?: string
}

/** Starts the module `source` under this Node; `ended` resolves with how it ended and all that it said. */
export function startChild(source: string, args: readonly string[], env: { readonly [name: string]: string }, { node = [], prefix = [], open }: ChildOptions = {}): { child: ChildProcess; said: () => string; ended: Promise<Ended> } {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-child-'))
  const file = join(folder, 'main.mts')
  writeFileSync(file, source)
  if (open !== undefined) for (const path of [folder, open]) chmodSync(path, 0o777)
  const [command, ...rest] = [...prefix, process.execPath, ...node, file, ...args]
  const child = spawn(command!, rest, { env: { ...process.env, NODE_OPTIONS: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      rmSync(folder, { recursive: true, force: true })
      resolve({ code, signal, stdout, stderr })
    })
  })
  return { child, said: () => stdout, ended }
}

/** As `startChild`, to its end. */
export function runChild(source: string, args: readonly string[], env: { readonly [name: string]: string }, options: ChildOptions = {}): Promise<Ended> {
  return startChild(source, args, env, options).ended
}
