import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Owner, ownerState, thisOwner } from './owner.ts'

const linux = existsSync('/proc/self/stat')
const self = thisOwner()

describe('an owner', () => {
  test('is this process, and says nothing that names the machine', () => {
    expect(self.pid).toBe(process.pid)
    expect(JSON.stringify(self).length).toBeLessThan(300)
    if (self.host !== undefined) expect(self.host).toMatch(/^[0-9a-f]{32}$/)
  })

  test.runIf(linux)('is self, alive, and dead once it was killed', async () => {
    expect(ownerState(self)).toBe('self')
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    await once(child, 'spawn')
    const owner: Owner = { ...self, pid: child.pid!, start_time: startTime(child.pid!) }
    expect(ownerState(owner)).toBe('alive')
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(ownerState(owner)).toBe('dead')
  })

  test.runIf(linux)('is dead when its pid is another process now, and unknown where that proves nothing', () => {
    expect(ownerState({ ...self, start_time: '1' })).toBe('dead')
    expect(ownerState({ ...self, pid: 2 ** 22 + 1 })).toBe('dead') // above the largest pid_max
    expect(ownerState({ ...self, pid_ns: 'pid:[1]', pid: 2 ** 22 + 1 })).toBe('unknown')
    const { start_time: _, ...withoutStart } = self
    expect(ownerState(withoutStart)).toBe('unknown')
  })
})

// Other machines' values, on any machine.
describe('a boot', () => {
  const here: Owner = { host: 'a'.repeat(32), boot_id: 'boot-2', pid_ns: 'pid:[7]', pid: 1, start_time: '5' }
  const { host: _host, ...noHost } = here
  const { boot_id: _boot, ...noBoot } = here

  test.each<[why: string, owner: Owner, at: Owner, state: string]>([
    ['an earlier boot of this machine', { ...here, boot_id: 'boot-1' }, here, 'dead'],
    ['an earlier boot and another namespace', { ...here, boot_id: 'boot-1', pid_ns: 'pid:[8]' }, here, 'dead'],
    ['another machine', { ...here, boot_id: 'boot-1', host: 'b'.repeat(32) }, here, 'unknown'],
    ['another boot of nobody knows what', { ...noHost, boot_id: 'boot-1' }, noHost, 'unknown'],
    ['a platform without boot ids', noBoot, noBoot, 'unknown'],
    ['such a platform, looked at from Linux', noBoot, here, 'unknown'],
  ])('proves what it can: %s', (_why, owner, at, state) => {
    expect(ownerState(owner, at)).toBe(state)
  })
})

function startTime(pid: number): string {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')[19]!
}
