// Keys whose protection changes, killed at every single step.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { killProtecting } from '../protect-kill.ts'

it('killed at each step of protecting, changing and unprotecting, keys open with the old passphrase or the new one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'counterfoil-keys-'))
  try {
    expect(await killProtecting(join(folder, 'home'), 1)).toBeGreaterThan(30)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 600_000)
