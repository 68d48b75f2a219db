// The thread that sends: the agent's event loop waits for no network, and what it does itself keeps nothing from being sent.

import { parentPort, workerData } from 'node:worker_threads'
import type { Start, ToSender } from './message.ts'
import { Sender } from './sender.ts'

const port = parentPort!
const sender = new Sender(workerData as Start, (message) => port.postMessage(message), () => port.close())
port.on('message', (message: ToSender) => sender.hear(message))
