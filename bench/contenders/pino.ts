// pino to a file: each line written before the call returns, or from its 4 KB buffer.

import type { EventEmitter } from 'node:events'
import { join } from 'node:path'
import type { Contender } from '../contender.ts'
import { peer } from '../peers.ts'
import { marksInFile } from './lines.ts'

interface Destination extends EventEmitter { end(): void }
interface Logger { info(fields: object): void; flush(done: (error?: Error) => void): void }
interface Pino { pino: ((destination: Destination) => Logger) & { destination(options: object): Destination } }

function pinoTo(name: string, title: string, sync: boolean): Contender {
  return {
    name, title, kind: 'keeps', packages: ['pino'],
    async open({ folder }) {
      const { pino } = await peer<Pino>('pino')
      const destination = pino.destination({ dest: join(folder, 'log.jsonl'), sync, ...(sync ? {} : { minLength: 4_096 }) })
      if (!sync) await new Promise<void>((resolve) => destination.once('ready', resolve))
      const logger = pino(destination)
      return {
        record({ kind, call, result }, session) {
          logger.info({ session, event: `${kind}_call`, ...call })
          logger.info({ session, event: `${kind}_result`, ...result })
        },
        settle: () => new Promise((resolve, reject) => logger.flush((error) => (error ? reject(error) : resolve()))),
        close: () => new Promise((resolve) => {
          destination.once('close', resolve)
          destination.end()
        }),
      }
    },
    find: (folder) => marksInFile(join(folder, 'log.jsonl')),
  }
}

export const pinoSync: Contender = pinoTo('pino-sync', 'pino synchronous', true)
export const pinoAsync: Contender = pinoTo('pino-async', 'pino buffered', false)
