// winston to a file, as JSON. Its documented way to have everything written is `logger.end()`; right after a burst that throws "write after
// end" (3.19), so what it says it has logged is waited for first.

import type { EventEmitter } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender } from '../contender.ts'
import { peer } from '../peers.ts'
import { marksInFile } from './lines.ts'

interface Logger { info(message: string, fields: object): void; end(): void }
interface Winston { readonly createLogger: (options: object) => Logger; transports: { File: new (options: object) => EventEmitter }; format: { json(): unknown } }

/** Where winston keeps an event's formatted line. */
const MESSAGE = Symbol.for('message')

export const winston: Contender = {
  name: 'winston', title: 'winston', kind: 'keeps', packages: ['winston'],
  async open({ folder }) {
    const { createLogger, transports, format } = await peer<Winston>('winston')
    const path = join(folder, 'log.jsonl')
    const file = new transports.File({ filename: path })
    const logger = createLogger({ format: format.json(), transports: [file] })
    const finished = new Promise<void>((resolve) => file.once('finish', resolve))
    const counts = { given: 0, logged: 0, bytes: 0 }
    file.on('logged', (event: { [MESSAGE]: string }) => {
      counts.logged++
      counts.bytes += Buffer.byteLength(event[MESSAGE]) + 1
    })
    return {
      record({ kind, call, result }, session) {
        counts.given += 2
        logger.info(`${kind}_call`, { session, ...call })
        logger.info(`${kind}_result`, { session, ...result })
      },
      async settle() {
        while (counts.logged < counts.given || statSync(path).size < counts.bytes) await sleep(2)
      },
      async close() {
        logger.end()
        await finished
      },
    }
  },
  find: (folder) => marksInFile(join(folder, 'log.jsonl')),
}
