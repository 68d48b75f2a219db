#!/usr/bin/env node
// The counterfoil command on this process: its streams, its environment, its exit code.

import { makeScreen, type Context } from './context.ts'
import { run } from './program.ts'

const { stdin, stdout, stderr, env } = process
const interrupted = new AbortController()
process.once('SIGINT', () => {
  interrupted.abort()
  process.once('SIGINT', () => process.exit(130))
})
// Whoever reads us may have seen enough: `counterfoil show | head` is no failure.
let unread = false
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  unread = true
  process.exit(0)
})
void run(process.argv.slice(2), surroundings).then((code) => { process.exitCode = code })

function surroundings({ color, json, trail, purpose }: { color: boolean; json: boolean; trail: string | undefined; purpose?: string | undefined }): Context {
  const colorful = (stream: NodeJS.WriteStream): boolean => color && stream.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
  return {
    env,
    cwd: process.cwd(),
    now: Date.now,
    json,
    trail,
    purpose,
    interactive: stdin.isTTY && stdout.isTTY,
    signal: interrupted.signal,
    exit: 0,
    screen: makeScreen({
      columns: columnsOf(stdout),
      color: colorful(stdout),
      errorColumns: columnsOf(stderr),
      errorColor: colorful(stderr),
      errorIsTerminal: stderr.isTTY && env['TERM'] !== 'dumb',
      write: (text) => written(stdout, text),
      writeError: (text) => written(stderr, text),
    }),
    open: async (place, mode) => (await import('./open.ts')).openCliTrail(place, mode, env, stdin.isTTY && stdout.isTTY ? () => ask('passphrase of the keys') : undefined, purpose),
    secret: ask,
    confirm: async (question) => (await import('./ask.ts')).confirmInTerminal(question),
    pause: async (message) => (await import('./ask.ts')).pauseInTerminal(message),
  }
}

/** A secret, typed by a person; undefined when the question is left. */
async function ask(question: string): Promise<string | undefined> {
  return (await import('./ask.ts')).secretInTerminal(question)
}

function columnsOf(stream: NodeJS.WriteStream): number {
  const asked = Number(env['COLUMNS'])
  return Math.max(40, stream.isTTY && stream.columns > 0 ? stream.columns : Number.isSafeInteger(asked) && asked > 0 ? asked : 80)
}

function written(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    if (unread) return resolve()
    stream.write(text, () => resolve())
  })
}
