// A run of a process as strace saw it: every change of a file below one folder, in order and with its bytes, and between them what the process said.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Disk, File, Node } from './disk.ts'

/** The calls by which files change, or come to the disk. What of them is not modelled below ends the reading with an error, and does not pass. */
const CALLS = [
  'open', 'openat', 'creat', 'close', 'write', 'pwrite64', 'writev', 'pwritev', 'pwritev2', 'ftruncate', 'truncate', 'fallocate', 'copy_file_range', 'sendfile', 'splice',
  'fsync', 'fdatasync', 'sync_file_range', 'syncfs', 'sync', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'link', 'linkat', 'symlink', 'symlinkat',
  'mkdir', 'mkdirat', 'rmdir', 'dup', 'dup2', 'dup3', 'lseek', 'io_uring_enter',
]

/** The command in front of node by which `trace` is written. */
export function tracing(trace: string): string[] {
  return ['strace', '-f', '-qq', '-xx', '-s', '33554432', '--seccomp-bpf', '-e', `trace=${CALLS.join(',')}`, '-e', 'signal=none', '-o', trace]
}

interface Call { readonly name: string; readonly args: readonly (string | Buffer)[]; readonly result: number; /** the disk's clock when it began */ readonly began: number }

/** Runs a trace on `disk`, whose root is `folder`, and stops after each call that changed something, or said something: `said` are whole lines on descriptor 1. */
export async function* replay(trace: string, folder: string, disk: Disk): AsyncGenerator<{ readonly call: string; readonly said: readonly string[] }> {
  const run = new Run(folder, disk)
  let [line, said] = [0, '']
  const begun = new Map<string, { text: string; began: number }>()
  for await (const text of createInterface({ input: createReadStream(trace, 'latin1') })) {
    line++
    const [, pid, rest] = /^(\d+)\s+(.*)$/.exec(text) ?? []
    if (pid === undefined || rest === undefined) throw new Error(`trace: line ${line} does not read: ${text.slice(0, 200)}`)
    if (rest.startsWith('+++') || rest.startsWith('---')) continue
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(pid, { text: rest.slice(0, -'<unfinished ...>'.length), began: disk.clock })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const start = resumed === null ? undefined : begun.get(pid)
    if (resumed !== null && start === undefined) throw new Error(`trace: line ${line} resumes what did not begin`)
    begun.delete(pid)
    const call = parseCall(start === undefined ? rest : start.text + resumed![1]!, start?.began ?? disk.clock, line)
    if (call === undefined) continue
    if (call.name === 'write' && call.args[0] === '1') {
      said += (call.args[1] as Buffer).toString('utf8', 0, call.result)
      const lines = said.split('\n')
      said = lines.pop()!
      if (lines.length > 0) yield { call: 'said', said: lines }
    } else if (run.does(call, line)) yield { call: `${line}: ${call.name}`, said: [] }
  }
}

/** `name(args) = result`; undefined for a call that failed and changed nothing. */
function parseCall(text: string, began: number, line: number): Call | undefined {
  const [, name, inside, result] = /^(\w+)\((.*)\)\s+= (-?\d+|\?)/.exec(text) ?? []
  if (name === undefined || inside === undefined) throw new Error(`trace: line ${line} is no call: ${text.slice(0, 200)}`)
  if (result === '?' || Number(result) < 0) return undefined
  const args: (string | Buffer)[] = []
  for (let at = 0; at < inside.length; ) {
    if (inside[at] === '"') {
      const end = inside.indexOf('"', at + 1)
      if (inside.startsWith('...', end + 1)) throw new Error(`trace: line ${line} was cut off`)
      args.push(Buffer.from(inside.slice(at + 1, end).replaceAll('\\x', ''), 'hex'))
      at = inside.indexOf(',', end)
    } else {
      const end = inside.indexOf(',', at)
      args.push(inside.slice(at, end === -1 ? undefined : end).trim())
      at = end
    }
    if (at === -1) break
    while (inside[++at] === ' ');
  }
  return { name, args, result: Number(result), began }
}

interface Open { readonly node: Node; readonly path: string; readonly append: boolean; offset: number }

class Run {
  readonly #prefix: string
  readonly #disk: Disk
  readonly #open = new Map<string, Open>()

  constructor(folder: string, disk: Disk) {
    this.#prefix = `${folder}/`
    this.#disk = disk
  }

  /** Whether it changed something of ours, or brought it to the disk. */
  does({ name, args, result, began }: Call, line: number): boolean {
    const disk = this.#disk
    const open = this.#open.get(String(args[0]))
    const path = (n: number): string | undefined => this.#ours(args[n])
    switch (name) {
      case 'open': case 'creat': case 'openat': {
        const at = name === 'openat' ? 1 : 0
        const [inside, flags] = [path(at), String(args[at + 1])]
        this.#open.delete(String(result))
        if (inside === undefined) return false
        let node = disk.find(inside)
        const made = node === undefined && (name === 'creat' || flags.includes('O_CREAT'))
        if (made) node = disk.make(inside, 'file')
        if (node === undefined) throw new Error(`trace: line ${line} opened ${inside}, which is not there`)
        this.#open.set(String(result), { node, path: inside, append: flags.includes('O_APPEND'), offset: 0 })
        if (node.kind !== 'file' || made || (name !== 'creat' && !flags.includes('O_TRUNC'))) return made
        disk.resize(node, 0)
        return true
      }
      case 'close':
        this.#open.delete(String(args[0]))
        return false
      case 'write': case 'pwrite64': {
        if (open === undefined) return false
        const file = open.node as File
        const bytes = (args[1] as Buffer).subarray(0, result)
        const offset = name === 'pwrite64' ? Number(args[3]) : open.append ? file.size : open.offset
        if (name === 'write') open.offset = offset + bytes.length
        disk.write(file, offset, bytes)
        return true
      }
      case 'ftruncate':
        if (open === undefined) return false
        disk.resize(open.node as File, Number(args[1]))
        return true
      case 'fsync': case 'fdatasync':
        if (open === undefined) return false
        disk.sync(open.node, began)
        return true
      case 'unlink': case 'rmdir': case 'unlinkat': {
        const inside = path(name === 'unlinkat' ? 1 : 0)
        if (inside !== undefined) disk.set(inside, undefined)
        return inside !== undefined
      }
      case 'mkdir': case 'mkdirat': {
        const inside = path(name === 'mkdirat' ? 1 : 0)
        if (inside !== undefined) disk.make(inside, 'folder')
        return inside !== undefined
      }
      case 'rename': case 'renameat': case 'renameat2': case 'link': case 'linkat': {
        const [from, to] = name.endsWith('at') || name.endsWith('at2') ? [path(1), path(3)] : [path(0), path(1)]
        if (from === undefined && to === undefined) return false
        if (from === undefined || to === undefined) throw new Error(`trace: line ${line}: ${name} across the border`)
        if (name.startsWith('rename')) disk.rename(from, to)
        else disk.set(to, disk.find(from))
        return true
      }
      case 'lseek':
        if (open !== undefined) open.offset = result
        return false
      default:
        if (open !== undefined || args.some((_, n) => path(n) !== undefined)) throw new Error(`trace: line ${line}: ${name} is not modelled`)
        return false
    }
  }

  #ours(arg: string | Buffer | undefined): string | undefined {
    if (!Buffer.isBuffer(arg)) return undefined
    const path = `${arg.toString()}/`
    return path.startsWith(this.#prefix) ? path.slice(this.#prefix.length).replace(/\/+$/, '') : undefined
  }
}
