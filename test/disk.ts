// Disks that misbehave, made real: a small ext4 of its own on a loop device, where we may mount one, and an fsync that takes its time.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

function run(command: string, ...args: readonly string[]): { ok: boolean; said: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  return { ok: status === 0, said: `${stdout ?? ''}${stderr ?? ''}`.trim() }
}

/** A file system of its own, mounted at `at`. */
export interface Disk {
  readonly at: string
  /** Writing a word into this file makes it fail as an ext4 that met an error does: it is read-only from then on, also for whom has files open. */
  readonly fault: string
  /** Lets everything on it be changed again. */
  writable(): void
  /** Repairs it and mounts it again, as an operator would. */
  repair(): void
  remove(): void
}

/** A disk of `mib` MiB under `folder`. Throws with what the system says when it cannot be had. */
export function makeDisk(folder: string, mib: number): Disk {
  const [image, at] = [join(folder, 'disk.img'), join(folder, 'disk')]
  writeFileSync(image, '')
  truncateSync(image, mib * 1024 * 1024)
  mkdirSync(at)
  const need = (command: string, ...args: readonly string[]): string => {
    const { ok, said } = run(command, ...args)
    if (!ok) throw new Error(`${command}: ${said}`)
    return said
  }
  need('mkfs.ext4', '-q', '-F', '-b', '4096', image) // in smaller blocks SQLite's shared memory has holes, and a full disk is a SIGBUS
  const mount = (): void => void need('mount', '-o', 'loop,errors=remount-ro', image, at)
  mount()
  const loop = basename(need('losetup', '-n', '-O', 'NAME', '-j', image))
  const unmount = (): void => void (run('umount', at).ok || need('umount', '-l', at))
  return {
    at, fault: `/sys/fs/ext4/${loop}/trigger_fs_error`,
    repair() {
      unmount()
      const { status } = spawnSync('e2fsck', ['-fy', image])
      if (status === null || status > 1) throw new Error(`e2fsck: ${status}`)
      mount()
    },
    writable: () => void need('chattr', '-R', '-i', at),
    remove: unmount,
  }
}

/** Why no disk can be made here; undefined where one can. */
export function noDisk(): string | undefined {
  if (process.platform !== 'linux') return 'not Linux'
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-disk-'))
  try {
    const disk = makeDisk(folder, 8)
    const fault = existsSync(disk.fault)
    disk.remove()
    return fault ? undefined : 'this kernel has no fault for an ext4'
  } catch (error) {
    return `no ext4 can be mounted on a loop device (${(error as Error).message.split('\n')[0]})`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const SHIM = `
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int slowly(long call, int fd) {
  const char *seen = getenv("SLOW_FSYNC_SEEN");
  if (seen) close(open(seen, O_CREAT | O_WRONLY, 0600));
  usleep(1000 * atoi(getenv("SLOW_FSYNC_MS")));
  return syscall(call, fd);
}
int fsync(int fd) { return slowly(SYS_fsync, fd); }
int fdatasync(int fd) { return slowly(SYS_fdatasync, fd); }
`

/** The environment in which each fsync of a process takes `ms` longer; `seen` is made at the first. A string says why there is none. */
export function slowFsync(folder: string, ms: number): ((seen: string) => { readonly [name: string]: string }) | string {
  if (process.platform !== 'linux') return 'not Linux'
  const [source, shim] = [join(folder, 'slow.c'), join(folder, 'slow.so')]
  writeFileSync(source, SHIM)
  const { ok, said } = run('cc', '-shared', '-fPIC', '-O2', '-o', shim, source)
  if (!ok) return `no C compiler (${said.split('\n')[0] || 'cc'})`
  return (seen) => ({ LD_PRELOAD: shim, SLOW_FSYNC_MS: String(ms), SLOW_FSYNC_SEEN: seen })
}
