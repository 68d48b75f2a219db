// Another people's witness, transparency-dev's as it ships, and its client: it cosigns our log, refuses what it must, and asks our witness.

import { execFile, spawn, type ChildProcess, type ExecFileException } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64, utf8 } from '../src/base/bytes.ts'
import { openCheckpoint } from '../src/log/checkpoint.ts'
import { cosignatureVerifier } from '../src/log/cosignature.ts'
import { leafHash } from '../src/log/hash.ts'
import { ed25519Verifier, parseNote } from '../src/log/note.ts'
import { submitCheckpoint, withCosignatures, type Submission } from '../src/witness/client.ts'
import { parseAddCheckpoint } from '../src/witness/request.ts'
import { buildGo, noGo } from './interop/go.ts'
import { appendRun, openKeyring, openLog, originAt, place, scratch, smallLog, steppingClock, Telling } from './sample-log.ts'
import { ORIGIN, startWitness, testLog, type TestLog } from './witness-server.ts'

if (noGo !== undefined) process.stderr.write(`witness interop: skipped, ${noGo}\n`)

const main = join(import.meta.dirname, '../src/cli/main.ts')
const NAME = 'witness.example/go'

describe.skipIf(noGo !== undefined)(`transparency-dev's witness${noGo === undefined ? '' : ` (skipped: ${noGo})`}`, () => {
  const tmp = scratch()
  const running: ChildProcess[] = []
  let programs = ''
  beforeAll(() => { programs = buildGo('witness') }, 240_000)
  afterAll(() => {
    for (const child of running) child.kill('SIGKILL')
    tmp.remove()
    rmSync(programs, { recursive: true, force: true })
  })

  /** A witness of theirs that knows these logs and remembers nothing yet. */
  async function theirs(...vkeys: readonly string[]): Promise<{ url: string; vkey: string }> {
    const child = spawn(join(programs, 'witness'), ['serve', NAME, ...vkeys], { stdio: ['ignore', 'pipe', 'ignore'] })
    running.push(child)
    const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
    const [url = '', vkey = ''] = String(value).split(' ')
    return { url, vkey }
  }
  const submission = (log: TestLog, size: number, { url, vkey }: { url: string; vkey: string }, more: Partial<Submission> = {}): Submission => ({ url, cosigners: [cosignatureVerifier(vkey)], checkpoint: log.checkpoint(size), verifiers: [ed25519Verifier(log.vkey)], reader: log.reader, ...more })
  const post = async (url: string, body: Uint8Array): Promise<{ status: number; type: string | null; body: string }> => {
    const response = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: Buffer.from(body) })
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
  }

  test('cosigns our first checkpoint and every one after it, and what it gives is a checkpoint with its cosignature', async () => {
    const log = testLog()
    const witness = await theirs(log.vkey)
    for (const size of [1, 2, 7, 8, 9, 300, 300, 513]) {
      const before = Math.floor(Date.now() / 1000)
      const signatures = await submitCheckpoint(submission(log, size, witness)) // asks for the size that it remembers
      const opened = openCheckpoint(withCosignatures(log.checkpoint(size), signatures), [ed25519Verifier(log.vkey)], { cosigners: [cosignatureVerifier(witness.vkey)] })
      expect([opened.size, opened.cosignatures.map(({ name }) => name)]).toEqual([size, [NAME]])
      expect(opened.cosignatures[0]!.time).toBeGreaterThanOrEqual(before)
    }
  })

  test('refuses what does not continue it, with the status codes of the specification', async () => {
    const log = testLog()
    const forked = testLog({ history: 'b', fork: 3 })
    const witness = await theirs(log.vkey)
    await submitCheckpoint(submission(log, 9, witness))
    expect(await post(witness.url, await log.request(5, 12))).toEqual({ status: 409, type: 'text/x.tlog.size', body: '9\n' })
    expect((await post(witness.url, await forked.request(9, 12))).status).toBe(422)
    // as the specification had it before: the same size with another root is a conflict, and no other size is named
    expect(await post(witness.url, await forked.request(9, 9))).toEqual({ status: 409, type: null, body: '' })
    await expect(submitCheckpoint(submission(forked, 9, witness))).rejects.toMatchObject({ code: 'witness_forked' })
    expect((await post(witness.url, await log.request(9, 12, { proof: [leafHash(utf8('x'))] }))).status).toBe(422)
    expect((await post(witness.url, await log.request(9, 5))).status).toBe(400)
    expect((await post(witness.url, await testLog({ origin: 'other.example/log' }).request(0, 5))).status).toBe(404)
    expect((await post(witness.url, await testLog({ seed: 9 }).request(9, 12))).status).toBe(500) // where the specification says 403
    await expect(submitCheckpoint(submission(log, 5, witness))).rejects.toMatchObject({ code: 'witness_ahead' })
    await expect(submitCheckpoint(submission(forked, 12, witness))).rejects.toMatchObject({ code: 'witness_forked' })
    await expect(submitCheckpoint(submission(testLog({ seed: 9 }), 12, witness))).rejects.toMatchObject({ code: 'witness_failed', status: 500 })
    expect((await submitCheckpoint(submission(log, 12, witness))).length).toBe(1)
  })

  test('counts for verify --policy on a trail that witness submit sent to it, as it grows', async () => {
    const where = place(join(tmp.folder, 'trail'))
    await smallLog(where)
    const { vkey } = openKeyring(originAt(where), where.home)
    const witness = await theirs(vkey)
    writeFileSync(join(tmp.folder, 'policy.txt'), `log ${vkey}\nwitness go ${witness.vkey} ${witness.url}\nquorum go\n`)
    const counterfoil = (...args: string[]): Promise<{ code: number; out: string }> => new Promise((resolve) => {
      execFile(process.execPath, [main, ...args, '--policy', 'policy.txt'], { env: { PATH: process.env['PATH'], HOME: tmp.folder, COUNTERFOIL_HOME: where.home, COUNTERFOIL_DB: where.db, COLUMNS: '80' }, cwd: tmp.folder }, (error: ExecFileException | null, out) => resolve({ code: error === null ? 0 : Number(error.code), out }))
    })
    expect((await counterfoil('verify', '--require', 'witnessed')).code).toBe(3)
    for (const user of [undefined, 'later']) {
      if (user !== undefined) {
        const ledger = await openLog(where, { clock: steppingClock(Date.UTC(2026, 10, 22)) })
        await appendRun(ledger, new Telling(), { user, order: '1' })
        await ledger.close()
      }
      expect(await counterfoil('witness', 'submit')).toMatchObject({ code: 0, out: expect.stringMatching(/^ {2}go: cosigned at .*\nsatisfied: 1 witness of 1 organisation, /) })
      expect(await counterfoil('verify', '--require', 'witnessed')).toMatchObject({ code: 0, out: expect.stringContaining('whole, witnessed') })
    }
  })

  test('is asked by its own client as ours is: first checkpoint, growth, stale size, fork, strangers', async () => {
    const log = testLog()
    const forked = testLog({ history: 'b', fork: 3 })
    const ours = await startWitness(join(tmp.folder, 'ours'), [log.vkey])
    const requests = [await log.request(0, 9), await log.request(5, 12), await log.request(9, 12), await log.request(12, 12), await forked.request(12, 15), await log.request(15, 13), await testLog({ origin: 'other.example/log' }).request(0, 1), await testLog({ seed: 9 }).request(12, 13)]
    const lines = requests.map((body) => {
      const { oldSize, proof, checkpoint } = parseAddCheckpoint(body)
      return `${JSON.stringify({ old: oldSize, proof: proof.map(toBase64), checkpoint })}\n`
    })
    const client = spawn(join(programs, 'witness'), ['submit', ours.url], { stdio: ['pipe', 'pipe', 'inherit'] })
    running.push(client)
    client.stdin.end(lines.join(''))
    const answers: { signatures: string; size: number; refused: string }[] = []
    for await (const line of createInterface({ input: client.stdout })) answers.push(JSON.parse(line) as typeof answers[number])
    expect(answers.map(({ refused, size }) => [refused, size])).toEqual([['', 0], ['old size != current', 9], ['', 0], ['', 0], ['consistency proof invalid', 0], ['old size > current', 0], ['unknown log', 0], ['no valid signatures', 0]])
    for (const [i, size] of [[0, 9], [2, 12], [3, 12]] as const) {
      const { text } = parseNote(log.checkpoint(size))
      expect(openCheckpoint(`${log.checkpoint(size)}${answers[i]!.signatures}`, [ed25519Verifier(log.vkey)], { origin: ORIGIN, cosigners: [cosignatureVerifier(ours.vkey)] }).cosignatures.length, text).toBe(1)
    }
    await ours.stop()
  })
})
