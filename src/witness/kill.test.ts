// A witness that is killed with SIGKILL between writing and answering, and at any moment under load.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { openCheckpoint, parseTreeHead } from '../log/checkpoint.ts'
import { cosignatureVerifier } from '../log/cosignature.ts'
import { ed25519Verifier, parseNote } from '../log/note.ts'
import { ORIGIN, startWitness, testLog, witnessFolder } from '../../test/witness-server.ts'
import { createWitnessKey } from './state.ts'

const log = testLog()

async function start(folder: string, ...more: string[]): Promise<{ child: ChildProcess; url: string; line: () => Promise<string>; kill: () => Promise<void> }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../test/witness-child.ts'), folder, log.vkey, ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => String((await lines.next()).value)
  return {
    child, url: await line(), line,
    kill: async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

const post = async (url: string, body: Uint8Array): Promise<{ status: number; body: string }> => {
  const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: Buffer.from(body) })
  return { status: response.status, body: await response.text() }
}

test('killed between writing and answering, it remembers, refuses a rewrite, and cosigns the same again', async () => {
  const { folder, remove } = witnessFolder()
  createWitnessKey(folder, 'witness.example/w1')
  const held = await start(folder, 'hold')
  const unanswered = post(held.url, await log.request(0, 5)).then(() => 'answered', () => 'broken off')
  expect(await held.line()).toBe('written')
  await held.kill()
  expect(await unanswered).toBe('broken off')
  const again = await startWitness(folder, [log.vkey]) // the killed one's lock is gone
  const rewritten = testLog({ history: 'b', fork: 2 })
  expect(await again.post(await rewritten.request(0, 5))).toMatchObject({ status: 409, body: '5\n' })
  expect(await again.post(await rewritten.request(5, 6))).toMatchObject({ status: 422 })
  expect(await again.post(await log.request(5, 5))).toMatchObject({ status: 200 })
  await again.stop()
  remove()
})

test('killed at any moment, it never remembers less than it cosigned', async () => {
  const { folder, remove } = witnessFolder()
  const { vkey } = createWitnessKey(folder, 'witness.example/w1')
  let size = 0
  for (let round = 0; round < 4; round++) {
    const { url, kill } = await start(folder)
    let given = size
    const load = (async () => {
      for (let at = size; at < size + 400; at++) {
        const { status, body } = await post(url, await log.request(at, at + 1))
        expect(status).toBe(200)
        expect(openCheckpoint(log.checkpoint(at + 1) + body, [ed25519Verifier(log.vkey)], { cosigners: [cosignatureVerifier(vkey)] }).cosignatures.length).toBe(1)
        given = at + 1
      }
    })().catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 60 + 45 * round))
    await kill()
    await load
    const after = await startWitness(folder, [log.vkey])
    const note = after.state.read(ORIGIN)
    await after.stop()
    const kept = note === undefined ? 0 : parseTreeHead(parseNote(note).text).size
    expect([given, given + 1]).toContain(kept)
    size = kept
  }
  expect(size).toBeGreaterThan(4)
  remove()
})
