// Kills with SIGKILL whatever changes what the keys of a log are under, and looks whether they open afterwards.

import { execFile } from 'node:child_process'
import { chmodSync, cpSync, readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'vitest'
import { toBase64 } from '../src/base/bytes.ts'
import { createKeyring, keyringFolder, openKeyring, type Keyring } from '../src/vault/keyring.ts'

/** The least that scrypt may cost. */
export const CHEAP = { logN: 14, r: 8, p: 1 }
const ORIGIN = 'log.example/agents'

/** Everything that a keyring is good for, as one text. */
export function all(keyring: Keyring): string {
  return JSON.stringify([keyring.vkey, toBase64(keyring.fingerprint('x', new Uint8Array(1))), keyring.keks().map(({ generation }) => toBase64(keyring.kek(generation))), toBase64(keyring.signer().sign(new Uint8Array(3)))])
}

const open = (home: string, passphrase: string): Keyring => openKeyring(ORIGIN, home, passphrase === '' ? {} : { passphrase })
function change(home: string, old: string, next: string): void {
  const keyring = open(home, old)
  if (next === '') keyring.unprotect()
  else keyring.protect(next, CHEAP)
}

/** Protects, changes and unprotects, killed at every `every`-th step and at the last two; resolves with how many were killed. */
export async function killProtecting(home: string, every: number): Promise<number> {
  const before = all(createKeyring(ORIGIN, home))
  let killed = 0
  for (const [old, next] of [['', 'new'], ['new', 'newer'], ['newer', '']] as const) {
    const steps = await atStep(home, old, next, 1_000_000)
    expect(steps).toBeGreaterThan(3)
    for (let step = 1; step <= steps; step++) {
      if (step % every !== 1 % every && step <= steps - 2) continue
      killed++
      await atStep(home, old, next, step)
      const copy = `${home}-copy`
      const opened = [old, next].filter((passphrase) => {
        try {
          return all(open(copy, passphrase)) === before
        } catch {
          return false
        }
      })
      expect(opened, `${old} to ${next}, killed at ${step} of ${steps}`).not.toEqual([])
      // done again from there, it ends where it should
      change(copy, opened[0]!, next)
      expect(all(open(copy, next))).toBe(before)
      expect(readdirSync(keyringFolder(ORIGIN, copy)).includes('passphrase.key')).toBe(next !== '')
    }
    change(home, old, next)
  }
  return killed
}

/** Changes a copy in a process that dies at its n-th step; resolves with the steps that it made when it came to the end. */
async function atStep(home: string, old: string, next: string, n: number): Promise<number> {
  const copy = `${home}-copy`
  rmSync(copy, { recursive: true, force: true })
  cpSync(home, copy, { recursive: true, preserveTimestamps: true })
  chmodSync(join(copy, basename(keyringFolder(ORIGIN, home))), 0o700) // cpSync forgets the modes of folders
  const said = await new Promise<string>((resolve) => execFile(process.execPath, [join(import.meta.dirname, 'protect-child.ts'), ORIGIN, copy, old, next, String(n)], { env: { ...process.env, NODE_OPTIONS: '' } }, (_, stdout) => resolve(stdout)))
  return Number(said)
}
