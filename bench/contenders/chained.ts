// A log of JSON lines, each with the SHA-256 of the line before it, written before the call returns; fdatasync runs behind, one at a
// time, for all lines written so far. The least that can be called tamper-evident and durable.

import { hash } from 'node:crypto'
import { closeSync, fdatasync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender } from '../contender.ts'
import { findMarks, noMarks } from '../load.ts'

export const chained: Contender = {
  name: 'chained', title: 'SHA-256 chained JSONL', kind: 'keeps', durable: true,
  async open({ folder }) {
    const file = openSync(join(folder, 'chain.jsonl'), 'a', 0o600)
    let [previous, written, synced] = ['', 0, 0]
    let running: Promise<void> | undefined
    const sync = async (): Promise<void> => {
      while (synced < written) {
        const upTo = written
        await new Promise<void>((resolve, reject) => fdatasync(file, (error) => (error === null ? resolve() : reject(error))))
        synced = upTo
      }
      running = undefined
    }
    const put = (session: number, event: unknown): void => {
      const line = JSON.stringify({ previous, at: Date.now(), session, event })
      previous = hash('sha256', line)
      writeSync(file, `${line}\n`)
      written++
      running ??= sync()
    }
    return {
      record({ call, result }, session) {
        put(session, call)
        put(session, result)
      },
      settle: async () => running,
      async close() {
        await running
        closeSync(file)
      },
    }
  },
  async find(folder) {
    const marks = noMarks()
    let [previous, broken] = ['', false]
    for (const line of readFileSync(join(folder, 'chain.jsonl'), 'utf8').split('\n').slice(0, -1)) {
      broken ||= (JSON.parse(line) as { previous: string }).previous !== previous
      previous = hash('sha256', line)
      findMarks(line, marks)
    }
    return { marks, whole: !broken }
  },
}
