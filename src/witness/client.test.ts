import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { NOW_MS, startWitness, testLog, witnessFolder, type TestLog, type TestWitness } from '../../test/witness-server.ts'
import { openCheckpoint } from '../log/checkpoint.ts'
import { cosignatureSigner, cosignatureVerifier } from '../log/cosignature.ts'
import { COSIGNATURE_ED25519, ed25519Verifier, parseNote, signNote } from '../log/note.ts'
import { submitCheckpoint, withCosignatures, type Submission } from './client.ts'

const log = testLog()
let place: ReturnType<typeof witnessFolder>
let witness: TestWitness
beforeEach(async () => {
  place = witnessFolder()
  witness = await startWitness(place.folder, [log.vkey])
})
afterEach(async () => {
  await witness.stop()
  place.remove()
})

const submission = (size: number, more: Partial<Submission> = {}, from: TestLog = log): Submission => ({
  url: witness.url, cosigners: [cosignatureVerifier(witness.vkey)], checkpoint: from.checkpoint(size), verifiers: [ed25519Verifier(from.vkey)], reader: from.reader, ...more,
})

describe('a checkpoint', () => {
  test.each([[1, 2], [3, 10], [5, 5], [0, 7], [0, 0]])('of a witness that remembers %i comes back cosigned at %i, whatever size was believed', async (remembered, size) => {
    if (remembered > 0) await submitCheckpoint(submission(remembered))
    for (const oldSize of [undefined, remembered, size, 900]) {
      const signatures = await submitCheckpoint(submission(size, oldSize === undefined ? {} : { oldSize }))
      const note = withCosignatures(withCosignatures(log.checkpoint(size), signatures), signatures)
      expect(parseNote(note).signatures.length).toBe(2)
      expect(openCheckpoint(note, [ed25519Verifier(log.vkey)], { cosigners: [cosignatureVerifier(witness.vkey)] }).cosignatures[0]!.time).toBe(NOW_MS / 1000)
    }
  })

  test('that was rolled back raises the alarm', async () => {
    await submitCheckpoint(submission(9))
    await expect(submitCheckpoint(submission(5))).rejects.toMatchObject({ name: 'VerifyError', code: 'witness_ahead', first_bad_index: 5, message: expect.stringContaining('9 entries') })
  })

  test('of a rewritten history raises the alarm, at every place and size', async () => {
    await submitCheckpoint(submission(5))
    for (let fork = 0; fork < 5; fork++) {
      for (const size of [5, 6, 8]) await expect(submitCheckpoint(submission(size, {}, testLog({ history: 'b', fork })))).rejects.toMatchObject({ name: 'VerifyError', code: 'witness_forked' })
    }
  })

  test('that the tree here does not lead to is not sent', async () => {
    await submitCheckpoint(submission(5))
    await expect(submitCheckpoint(submission(8, { reader: testLog({ history: 'b' }).reader }))).rejects.toMatchObject({ code: 'consistency_mismatch' })
    await expect(submitCheckpoint(submission(8, { checkpoint: testLog({ seed: 2 }).checkpoint(8) }))).rejects.toMatchObject({ name: 'VerifyError' })
  })

  test('is refused by who does not know the log or trusts another key', async () => {
    const other = testLog({ origin: 'other.example' })
    await expect(submitCheckpoint(submission(5, {}, other))).rejects.toMatchObject({ name: 'RemoteError', code: 'witness_unknown_log', status: 404 })
    await expect(submitCheckpoint(submission(5, {}, testLog({ seed: 2 })))).rejects.toMatchObject({ name: 'RemoteError', code: 'witness_refused_key', status: 403 })
  })

  test('cosigned by another key than the one configured is not taken', async () => {
    const stranger = cosignatureVerifier(testSigner('witness.example/w1', 8, COSIGNATURE_ED25519).vkey)
    await expect(submitCheckpoint(submission(5, { cosigners: [stranger] }))).rejects.toMatchObject({ code: 'witness_answer' })
  })
})

describe('a witness that', () => {
  let server: Server | undefined
  afterEach(async () => {
    server?.closeAllConnections()
    await new Promise((resolve) => (server === undefined ? resolve(undefined) : server.close(resolve)))
    server = undefined
  })
  const bad = async (listener: RequestListener): Promise<string> => {
    server = createServer(listener)
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  test('gives no answer is given up in time', async () => {
    const url = await bad(() => undefined)
    await expect(submitCheckpoint(submission(5, { url, timeoutMs: 100 }))).rejects.toMatchObject({ name: 'RemoteError', code: 'witness_timeout', retry: true })
  })

  test('begins an answer and never ends it is given up in time', async () => {
    const url = await bad((_, response) => void response.writeHead(200).write('\u2014 '))
    await expect(submitCheckpoint(submission(5, { url, timeoutMs: 200 }))).rejects.toMatchObject({ name: 'RemoteError', code: 'witness_timeout' })
  })

  test('is not there is told so', async () => {
    const url = await bad(() => undefined)
    server!.close()
    await expect(submitCheckpoint(submission(5, { url }))).rejects.toMatchObject({ code: 'witness_unreachable', retry: true })
  })

  const own = testSigner('witness.example/w9', 9, COSIGNATURE_ED25519)
  const lineOf = (size: number, time: number): string => signNote(parseNote(log.checkpoint(size)).text, [cosignatureSigner(own.signer, time)]).split('\n\n')[1]!
  test.each<[string, number, string, string]>([
    ['moves elsewhere', 302, '', 'witness_refused'],
    ['fails', 503, 'busy', 'witness_failed'],
    ['says 409 without a size', 409, 'no', 'witness_answer'],
    ['says 409 with a size and no newline', 409, '3', 'witness_answer'],
    ['says 409 with the size that it was given', 409, '0\n', 'witness_answer'],
    ['signs nothing', 200, '', 'witness_answer'],
    ['signs another checkpoint', 200, lineOf(6, 1_700_000_000), 'witness_answer'],
    ['signs without a time', 200, lineOf(5, 0), 'witness_answer'],
    ['sends a page', 200, '<html>\n', 'witness_answer'],
    ['sends without end', 200, 'x'.repeat(100_000), 'witness_answer'],
    ['smuggles another text under its line', 200, `x\n\n${lineOf(5, 1_700_000_000)}`, 'witness_answer'],
  ])('%s is no witness', async (_, status, body, code) => {
    const url = await bad((_request, response) => void response.writeHead(status, { location: '/elsewhere' }).end(body))
    await expect(submitCheckpoint(submission(5, { url, cosigners: [cosignatureVerifier(own.vkey)] }))).rejects.toMatchObject({ name: 'RemoteError', code })
  })

  test('refuses a checkpoint of its own size without naming another saw another history', async () => {
    const url = await bad((request, response) => {
      request.setEncoding('utf8').once('data', (body: string) => response.writeHead(409).end(body.startsWith('old 5\n') ? '' : '5\n'))
    })
    await expect(submitCheckpoint(submission(5, { url }))).rejects.toMatchObject({ name: 'VerifyError', code: 'witness_forked' })
  })

  test('moves with each question is given up', async () => {
    let size = 0
    const url = await bad((_, response) => void response.writeHead(409).end(`${(size++ % 3) + 1}\n`))
    await expect(submitCheckpoint(submission(5, { url }))).rejects.toMatchObject({ code: 'witness_answer' })
    expect(size).toBe(4)
  })
})
