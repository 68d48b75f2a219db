// Every answer that C2SP tlog-witness lists, over real loopback HTTP.

import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { testSigner } from '../../test/signer.ts'
import { sha256Hex } from '#crypto'
import { concat, utf8 } from '../base/bytes.ts'
import { openCheckpoint, parseTreeHead } from '../log/checkpoint.ts'
import { cosignatureVerifier } from '../log/cosignature.ts'
import { addSignature, COSIGNATURE_ED25519, ed25519Verifier, parseNote, signNote } from '../log/note.ts'
import { NOW_MS, ORIGIN, startWitness, testLog, witnessFolder, type TestWitness } from '../../test/witness-server.ts'
import { MAX_REQUEST_BYTES } from './request.ts'
import { WitnessState } from './state.ts'

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

const remembered = (): number | undefined => {
  const note = witness.state.read(ORIGIN)
  return note === undefined ? undefined : parseTreeHead(parseNote(note).text).size
}
const opened = (checkpoint: string, lines: string): ReturnType<typeof openCheckpoint> => openCheckpoint(checkpoint + lines, [ed25519Verifier(log.vkey)], { cosigners: [cosignatureVerifier(witness.vkey)] })

describe('200', () => {
  test.each([[0, 0], [0, 1], [0, 7], [1, 1], [1, 2], [3, 7], [4, 8], [6, 300], [256, 257]])('from %i to %i: a cosignature line that makes the checkpoint witnessed, and the note is kept', async (oldSize, size) => {
    if (oldSize > 0) expect((await witness.post(await log.request(0, oldSize))).status).toBe(200)
    const { status, body } = await witness.post(await log.request(oldSize, size))
    expect([status, body]).toEqual([200, expect.stringMatching(/^\u2014 witness\.example\/w1 [A-Za-z0-9+/=]+\n$/)])
    expect(opened(log.checkpoint(size), body).cosignatures).toEqual([{ name: 'witness.example/w1', keyId: expect.any(Number), time: NOW_MS / 1000 }])
    expect(witness.state.read(ORIGIN)).toBe(log.checkpoint(size) + body)
  })

  test('signatures of unknown keys are ignored and not kept', async () => {
    const more = addSignature(log.checkpoint(5), testSigner('stranger.example', 9).signer)
    expect((await witness.post(await log.request(0, 5, { checkpoint: more }))).status).toBe(200)
    expect(parseNote(witness.state.read(ORIGIN)!).signatures.map(({ name }) => name)).toEqual([ORIGIN, 'witness.example/w1'])
  })

  test('a log goes on from a cosigned size 0', async () => {
    await witness.post(await log.request(0, 0))
    expect((await witness.post(await log.request(0, 5))).status).toBe(200)
    expect(remembered()).toBe(5)
  })

  test('extension lines are cosigned with the rest', async () => {
    const { signer } = testSigner(ORIGIN, 1)
    const checkpoint = signNote(`${parseNote(log.checkpoint(5)).text}an extension\n`, [signer])
    const { status, body } = await witness.post(await log.request(0, 5, { checkpoint }))
    expect([status, opened(checkpoint, body).extensions, opened(checkpoint, body).cosignatures.length]).toEqual([200, ['an extension'], 1])
    expect(() => opened(checkpoint.replace('an ext', 'no ext'), body)).toThrow()
  })

  test('of a log with two keys either may sign, and a false signature of one is no less false beside the other', async () => {
    const next = testLog({ seed: 2 })
    await witness.stop()
    witness = await startWitness(place.folder, [log.vkey, next.vkey])
    expect((await witness.post(await log.request(0, 5))).status).toBe(200)
    expect((await witness.post(await next.request(5, 6))).status).toBe(200)
    const both = addSignature(log.checkpoint(7), testSigner(ORIGIN, 2).signer)
    expect((await witness.post(await log.request(6, 7, { checkpoint: both }))).status).toBe(200)
    const half = addSignature(log.checkpoint(8), { ...testSigner(ORIGIN, 2).signer, sign: () => new Uint8Array(64) })
    expect((await witness.post(await log.request(7, 8, { checkpoint: half }))).status).toBe(403)
    expect(remembered()).toBe(7)
  })

  test('the same checkpoint again is cosigned again, with a new time', async () => {
    let now = NOW_MS
    await witness.stop()
    witness = await startWitness(place.folder, [log.vkey], { now: () => now })
    await witness.post(await log.request(0, 5))
    now += 60_000
    const { body } = await witness.post(await log.request(5, 5))
    expect(opened(log.checkpoint(5), body).cosignatures[0]!.time).toBe(NOW_MS / 1000 + 60)
  })
})

describe('400', () => {
  const good = utf8('old 0\n\nx\n')
  test.each<[string, () => Promise<Uint8Array | string>]>([
    ['an empty body', async () => ''],
    ['no old line', async () => good.slice(6)],
    ['a leading zero', async () => `old 00\n\n${log.checkpoint(5)}`],
    ['a negative size', async () => `old -1\n\n${log.checkpoint(5)}`],
    ['two blanks', async () => `old  0\n\n${log.checkpoint(5)}`],
    ['a size past 2^53', async () => `old 9007199254740993\n\n${log.checkpoint(5)}`],
    ['carriage returns', async () => `old 0\r\n\r\n${log.checkpoint(5)}`],
    ['no empty line', async () => `old 0\n${log.checkpoint(5)}`],
    ['a hash of 31 bytes', async () => `old 1\n${'A'.repeat(40)}A==\n\n${log.checkpoint(5)}`],
    ['64 proof lines', async () => log.request(1, 5, { proof: Array.from({ length: 64 }, () => log.root(1)) })],
    ['no checkpoint', async () => 'old 0\n\n'],
    ['a checkpoint without its last newline', async () => `old 0\n\n${log.checkpoint(5).slice(0, -1)}`],
    ['a size with a sign', async () => `old +0\n\n${log.checkpoint(5)}`],
    ['base64 without its padding', async () => `old 1\n${'A'.repeat(43)}\n\n${log.checkpoint(5)}`],
    ['a note that is no checkpoint', async () => `old 0\n\n${signNote(`${ORIGIN}\nfive\n`, [testSigner(ORIGIN, 1).signer])}`],
    ['bytes that are not UTF-8', async () => concat(utf8('old 0\n\n'), Uint8Array.of(0xff), utf8(log.checkpoint(5)))],
    ['an old size above the checkpoint', async () => log.request(6, 5)],
  ])('for %s', async (_, body) => {
    expect(await witness.post(await body())).toMatchObject({ status: 400, type: 'text/plain; charset=utf-8' })
    expect(remembered()).toBeUndefined()
  })
})

describe('403', () => {
  test('for a checkpoint that only a stranger signed under the name of the log', async () => {
    expect((await witness.post(await testLog({ seed: 2 }).request(0, 5))).status).toBe(403)
  })

  test('for a false signature of the known key, also beside a right one', async () => {
    const { signer } = testSigner(ORIGIN, 1)
    const checkpoint = log.checkpoint(5)
    const forged = signNote(parseNote(checkpoint).text, [{ ...signer, sign: () => new Uint8Array(64) }])
    const line = forged.slice(forged.indexOf('\n\n') + 2)
    for (const bad of [forged, checkpoint + line]) expect((await witness.post(await log.request(0, 5, { checkpoint: bad }))).status).toBe(403)
    expect(remembered()).toBeUndefined()
  })

  test("for the witness's own signature: it never stands in for the log", async () => {
    const { body } = await witness.post(await log.request(0, 5))
    expect((await witness.post(await log.request(5, 5, { checkpoint: `${parseNote(log.checkpoint(5)).text}\n${body}` }))).status).toBe(403)
  })
})

test('404 for an origin that it does not know', async () => {
  expect((await witness.post(await testLog({ origin: 'other.example' }).request(0, 5))).status).toBe(404)
})

describe('409 with the remembered size', () => {
  test.each([[0, 6], [4, 6], [6, 6]])('for old size %i up to %i where it is 5', async (oldSize, size) => {
    await witness.post(await log.request(0, 5))
    expect(await witness.post(await log.request(oldSize, size))).toEqual({ status: 409, type: 'text/x.tlog.size', body: '5\n' })
    expect(remembered()).toBe(5)
  })

  test('zero where it never cosigned', async () => {
    expect(await witness.post(await log.request(3, 5))).toEqual({ status: 409, type: 'text/x.tlog.size', body: '0\n' })
  })

  test('a rolled-back log is not cosigned', async () => {
    await witness.post(await log.request(0, 9))
    for (const oldSize of [0, 4, 5]) expect(await witness.post(await log.request(oldSize, 5))).toMatchObject({ status: 409, body: '9\n' })
    expect((await witness.post(await log.request(9, 5))).status).toBe(400)
  })
})

describe('422', () => {
  test('for size 0 with another root than the empty one', async () => {
    const text = parseNote(log.checkpoint(5)).text.replace('\n5\n', '\n0\n')
    expect((await witness.post(await log.request(0, 0, { checkpoint: signNote(text, [testSigner(ORIGIN, 1).signer]) }))).status).toBe(422)
  })

  test('for 63 proof lines that prove nothing: no more are too many', async () => {
    await witness.post(await log.request(0, 5))
    expect((await witness.post(await log.request(5, 8, { proof: Array.from({ length: 63 }, () => log.root(1)) }))).status).toBe(422)
  })

  test('for a proof from nothing, and for one between equal sizes', async () => {
    expect((await witness.post(await log.request(0, 5, { proof: [log.root(1)] }))).status).toBe(422)
    await witness.post(await log.request(0, 5))
    expect((await witness.post(await log.request(5, 5, { proof: [log.root(1)] }))).status).toBe(422)
  })

  test('for a proof with any hash wrong, left out or added', async () => {
    await witness.post(await log.request(0, 5))
    const proof = await log.proof(5, 12)
    const wrong = proof.flatMap((hash, i) => [
      proof.with(i, hash.map((byte, at) => (at === 0 ? byte ^ 1 : byte))), proof.toSpliced(i, 1), proof.toSpliced(i, 0, hash),
    ])
    for (const one of [...wrong, []]) expect((await witness.post(await log.request(5, 12, { proof: one }))).status).toBe(422)
    expect(remembered()).toBe(5)
  })

  test('for the same size with another root', async () => {
    await witness.post(await log.request(0, 5))
    expect((await witness.post(await testLog({ history: 'b' }).request(5, 5))).status).toBe(422)
    expect(witness.state.read(ORIGIN)).toContain(log.checkpoint(5))
  })

  test('for an owner who rewrites the history at any place and signs it again, also after a restart', async () => {
    await witness.post(await log.request(0, 5))
    witness = await witness.restart()
    for (let fork = 0; fork < 5; fork++) {
      const rewritten = testLog({ history: 'b', fork })
      for (const size of [5, 6, 8, 13]) expect((await witness.post(await rewritten.request(5, size))).status).toBe(422)
    }
    expect((await witness.post(await testLog({ history: 'b', fork: 5 }).request(5, 6))).status).toBe(200) // the future is the owner's
  })
})

describe('many at once', () => {
  test('of requests from one size only one wins; what was cosigned is one history', async () => {
    await witness.post(await log.request(0, 3))
    const forks = Array.from({ length: 24 }, (_, i) => testLog({ history: `h${i}`, fork: 3 }))
    const answers = await Promise.all(forks.map(async (one, i) => witness.post(await one.request(3, 4 + (i % 5)))))
    const winners = answers.flatMap(({ status }, i) => (status === 200 ? [i] : []))
    expect(winners.length).toBe(1)
    const size = 4 + (winners[0]! % 5)
    expect(answers.filter(({ status }) => status !== 200).every(({ status, body }) => status === 409 && body === `${size}\n`)).toBe(true)
    expect(remembered()).toBe(size)
  })

  test('a growing log never goes back', async () => {
    const sizes = [0, ...Array.from({ length: 30 }, (_, i) => i + 1)]
    const answers = await Promise.all(sizes.slice(1).map(async (size, i) => witness.post(await log.request(sizes[i]!, size))))
    const signed = answers.flatMap(({ status }, i) => (status === 200 ? [i + 1] : []))
    expect(remembered()).toBe(Math.max(...signed))
  })
})

describe('the state', () => {
  test('is held by one process at a time', () => {
    expect(() => WitnessState.open(place.folder)).toThrow(expect.objectContaining({ code: 'witness_locked' }))
  })

  test('that is damaged or of another log stops the witness instead of being forgotten', async () => {
    await witness.post(await log.request(0, 5))
    const file = join(place.folder, `${sha256Hex(ORIGIN)}.checkpoint`)
    const note = readFileSync(file, 'utf8')
    for (const bad of ['', note.slice(0, -20), note.replace('\n5\n', '\n4\n'), log.checkpoint(5)]) {
      writeFileSync(file, bad)
      expect(await witness.post(await log.request(0, 3))).toMatchObject({ status: 500 })
      await witness.stop()
      await expect(startWitness(place.folder, [log.vkey])).rejects.toMatchObject({ code: 'witness_state' })
      writeFileSync(file, note)
      witness = await startWitnessAfter()
    }
    expect(await witness.post(await log.request(0, 3))).toMatchObject({ status: 409, body: '5\n' })
  })

  test('gives no cosignature that it cannot keep', async () => {
    const errors: unknown[] = []
    await witness.stop()
    witness = await startWitness(place.folder, [log.vkey], { onError: (error) => errors.push(error) })
    renameSync(place.folder, `${place.folder}-away`)
    expect(await witness.post(await log.request(0, 5))).toMatchObject({ status: 500, body: expect.not.stringContaining('\u2014') })
    expect(errors).toEqual([expect.objectContaining({ code: 'witness_write' })])
    renameSync(`${place.folder}-away`, place.folder)
    expect(await witness.post(await log.request(0, 5))).toMatchObject({ status: 200 })
  })

  test('that goes away under a running witness is not forgotten', async () => {
    await witness.post(await log.request(0, 5))
    rmSync(join(place.folder, `${sha256Hex(ORIGIN)}.checkpoint`))
    expect(await witness.post(await testLog({ history: 'b' }).request(0, 5))).toMatchObject({ status: 500 })
  })

  test('has nothing in it that others may read, and no drafts of a process that was killed', async () => {
    await witness.post(await log.request(0, 5))
    writeFileSync(join(place.folder, '.new-0011223344556677'), 'half a no')
    witness = await witness.restart()
    expect(readdirSync(place.folder).sort()).toEqual([`${sha256Hex(ORIGIN)}.checkpoint`, 'lock', 'witness.key'].sort())
    expect(statSync(join(place.folder, 'witness.key')).mode & 0o777).toBe(0o600)
  })

  test('gets no cosignature of a clock that stands at zero', async () => {
    await witness.stop()
    witness = await startWitness(place.folder, [log.vkey], { now: () => 0 })
    expect((await witness.post(await log.request(0, 5))).status).toBe(500)
    expect(remembered()).toBeUndefined()
  })

  const startWitnessAfter = (): Promise<TestWitness> => startWitness(place.folder, [log.vkey])
})

describe('HTTP', () => {
  test('monitors get the cosigned checkpoint', async () => {
    const url = `${witness.url}/${sha256Hex(ORIGIN)}/checkpoint`
    expect((await fetch(url)).status).toBe(404)
    const { body } = await witness.post(await log.request(0, 5))
    expect(await (await fetch(url)).text()).toBe(log.checkpoint(5) + body)
    expect((await fetch(`${witness.url}/${sha256Hex('other.example')}/checkpoint`)).status).toBe(404)
  })

  test('other methods and paths are refused', async () => {
    expect([(await fetch(`${witness.url}/add-checkpoint`)).status, (await fetch(`${witness.url}/`)).status]).toEqual([405, 404])
  })

  test('one connection serves many requests', async () => {
    const socket = connect(Number(new URL(witness.url).port), '127.0.0.1')
    let said = ''
    socket.setEncoding('utf8').on('data', (text: string) => (said += text))
    for (const [oldSize, size] of [[0, 5], [5, 8], [8, 9]] as const) {
      const body = await log.request(oldSize, size)
      socket.write(`POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: ${body.length}\r\n\r\n`)
      socket.write(body)
    }
    await expect.poll(() => said.match(/HTTP\/1\.1 200 /g)?.length, { timeout: 10_000 }).toBe(3)
    socket.destroy()
  })

  test('a body that is too long is refused, announced or not', async () => {
    const long = 'x'.repeat(MAX_REQUEST_BYTES + 1)
    expect((await witness.post(long)).status).toBe(413)
    const stream = new ReadableStream({ start: (controller) => { controller.enqueue(utf8(long)); controller.close() } })
    const answer = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body: stream, duplex: 'half' }).then(({ status }) => status, () => 'cut off')
    expect([413, 'cut off']).toContain(answer)
    expect((await witness.post(await log.request(0, 5))).status).toBe(200)
  })

  test('a client that sends slowly is cut off', async () => {
    await witness.stop()
    witness = await startWitness(place.folder, [log.vkey], { requestMs: 200 })
    const socket = connect(Number(new URL(witness.url).port), '127.0.0.1')
    socket.write('POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold')
    const started = Date.now()
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(Date.now() - started).toBeLessThan(5_000)
    expect((await witness.post(await log.request(0, 5))).status).toBe(200)
  })
})

test('a key of another use is no log key', async () => {
  const { vkey } = testSigner('w.example', 3, COSIGNATURE_ED25519)
  await expect(startWitness(witnessFolder().folder, [vkey])).rejects.toThrow(TypeError)
})
