// A process that ends with an answer half read, for a test: prints the result that is recorded on its way out.

import Anthropic from '@anthropic-ai/sdk'
import { auditAnthropic } from '../../src/integrations/anthropic.ts'
import { captureCalls } from './capture.ts'

const capture = captureCalls()
process.on('exit', () => process.stdout.write(JSON.stringify(capture.results)))
const client = auditAnthropic(new Anthropic({ apiKey: 'k', baseURL: process.argv[2]! }), capture)
const stream = await client.messages.create({ model: 'm', max_tokens: 9, stream: true, messages: [{ role: 'user', content: 'hi' }] })
for await (const event of stream) if (event.type === 'content_block_delta') process.exit(0)
