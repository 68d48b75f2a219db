// A process that opens many event streams at once and holds them. Says, a JSON line each time: how the server answered once all are settled, then, for each
// line it is given, how many of the open ones have heard of an index up to that one.
// argv: port, streams, keys in turn, separated by commas.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

const [port, streams, keys] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]!.split(',')]
/** Fewer than a listening socket of Linux lets wait by default (4,096; Node asks for 511). */
const AT_ONCE = 200

interface Stream { status: number | 'dropped'; heard: number }

const all: Stream[] = []

async function open(key: string): Promise<void> {
  const stream: Stream = { status: 'dropped', heard: -1 }
  all.push(stream)
  const socket: Socket = connect(port, '127.0.0.1')
  let text = ''
  let answered = (): void => {}
  const answer = new Promise<void>((resolve) => { answered = resolve })
  socket.on('error', () => {}) // a close follows
  socket.on('close', () => answered())
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const status = /^HTTP\/1\.1 (\d{3})/.exec(text)
    if (stream.status === 'dropped' && status !== null && text.includes('\r\n\r\n')) {
      stream.status = Number(status[1])
      answered()
    }
    const ids = [...text.matchAll(/^id: (\d+)$/gm)]
    if (ids.length > 0) stream.heard = Number(ids.at(-1)![1])
    text = text.slice(Math.max(0, text.lastIndexOf('\n', text.length - 2)))
  })
  socket.on('connect', () => socket.write(`GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${key}\r\nAccept: text/event-stream\r\n\r\n`))
  await answer
}

for (let at = 0; at < streams; at += AT_ONCE) await Promise.all(Array.from({ length: Math.min(AT_ONCE, streams - at) }, (_, i) => open(keys[(at + i) % keys.length]!)))

const counts: Record<string, number> = {}
for (const { status } of all) counts[status] = (counts[status] ?? 0) + 1
console.log(JSON.stringify(counts))

const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const index = Number(line)
  const timer = setInterval(() => {
    const heard = all.filter(({ status, heard: last }) => status === 200 && last >= index).length
    const left = all.filter(({ status }) => status === 200).length - heard
    if (left > 0 && --patience > 0) return
    clearInterval(timer)
    console.log(JSON.stringify({ heard }))
  }, 100)
  let patience = 600
})
await once(lines, 'close')
process.exit(0)
