// A key that is kept elsewhere: a process that signs what is posted to it on loopback, as a KMS would. It prints its port and verifier key, and takes
// `{"delayMs", "mode"}` at /how: `right`, `fail` (500), `wrong` (another message's signature) or `stranger` (another key's).

import { createServer } from 'node:http'
import { ed25519Key, signEd25519 } from '../src/base/ed25519-key.ts'
import { ED25519, formatVerifierKey, verifierKey } from '../src/log/note.ts'

const [name = '', seed = '1'] = process.argv.slice(2)
const pair = ed25519Key(new Uint8Array(32).fill(Number(seed)))
const stranger = ed25519Key(new Uint8Array(32).fill(99))
const how = { delayMs: 0, mode: 'right' }
let asked = 0
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
    const body = Buffer.concat(chunks)
    if (request.url === '/how') {
      Object.assign(how, JSON.parse(body.toString()))
      response.end(String(asked))
      return
    }
    asked++
    setTimeout(() => {
      if (how.mode === 'fail') response.statusCode = 500
      response.end(how.mode === 'fail' ? '' : signEd25519(how.mode === 'stranger' ? stranger : pair, how.mode === 'wrong' ? Buffer.concat([body, body]) : body))
    }, how.delayMs)
  })
})
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as { port: number }).port} ${formatVerifierKey(verifierKey(name, ED25519, pair.publicKey))}\n`)
})
