// Whose spool it is, and whether that process is proved gone. All platform code of this room is here: only Linux says enough
// (boot id, process start time, pid namespace); elsewhere another process's state is `unknown`, never guessed.

import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * A process. `host` is a hash of machine id and host name (machine-id(5) must not leave the machine, and images share it), `boot_id` the
 * kernel's, `pid_ns` the namespace in which `pid` counts, `start_time` field 22 of /proc/<pid>/stat, in ticks since boot.
 */
export interface Owner {
  readonly host?: string
  readonly boot_id?: string
  readonly pid_ns?: string
  readonly pid: number
  readonly start_time?: string
}

/** `dead` is a proof, `unknown` is everything that is none. */
export type OwnerState = 'self' | 'alive' | 'dead' | 'unknown'

/** This process. Worker threads are the same owner. */
export function thisOwner(): Owner {
  const machine = readText('/etc/machine-id')
  const boot = readText('/proc/sys/kernel/random/boot_id')
  const namespace = readLink('/proc/self/ns/pid')
  const self = readProcess(process.pid)
  return {
    ...(machine && { host: createHash('sha256').update(`counterfoil/host/v1\0${machine}\0${hostname()}`).digest('hex').slice(0, 32) }),
    ...(boot && { boot_id: boot }),
    ...(namespace && { pid_ns: namespace }),
    pid: process.pid,
    ...(typeof self === 'object' && { start_time: self.start_time }),
  }
}

/**
 * Whether `owner` still runs. Dead is proved by another boot of the same machine, or, in the same boot and pid namespace, by a pid that
 * is gone, ended and not yet collected, or started at another time. Another machine, namespace or platform is `unknown`.
 */
export function ownerState(owner: Owner, self: Owner = thisOwner()): OwnerState {
  if (owner.boot_id === undefined || self.boot_id === undefined) return 'unknown'
  if (owner.boot_id !== self.boot_id) return owner.host !== undefined && owner.host === self.host ? 'dead' : 'unknown'
  if (owner.pid_ns === undefined || owner.pid_ns !== self.pid_ns || owner.start_time === undefined) return 'unknown'
  if (owner.pid === self.pid && owner.start_time === self.start_time) return 'self'
  const found = readProcess(owner.pid)
  if (found === 'unknown') return 'unknown'
  if (found === 'gone' || found.start_time !== owner.start_time || found.ended) return 'dead'
  return 'alive'
}

function readProcess(pid: number): { start_time: string; ended: boolean } | 'gone' | 'unknown' {
  const stat = readText(`/proc/${pid}/stat`)
  if (stat === undefined) return signals(pid) ? 'unknown' : 'gone'
  // The second field is the command in parentheses and may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, start_time] = [fields[0], fields[19]]
  if (state === undefined || start_time === undefined || !/^\d+$/.test(start_time)) return 'unknown'
  return { start_time, ended: state === 'Z' || state === 'X' }
}

/** Whether there is such a process; /proc alone does not prove it, since `hidepid` hides other users' processes. */
function signals(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    return undefined // absent, or not ours to read: the answer stays `unknown`
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
