// What a growing conversation costs on the disk, against logging all of it at every step.

import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openTrail, type LLMCall } from '../src/index.ts'
import { scratch } from './scratch.ts'

const WORDS = 'the order was returned on monday and a refund of forty two euro is due under policy four point two so look it up first then ask'.split(' ')
let state = 7
const random = (below: number): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below
const prose = (words: number): string => Array.from({ length: words }, () => `${WORDS[random(WORDS.length)]}${random(100)}`).join(' ')

test.each([[100, 15], [1_000, 150]])('%i steps take at most 1/%i of logging all messages each time', async (steps, part) => {
  const { db } = scratch()
  const trail = openTrail(db, { agent_id: 'agent-1', system_prompt: prose(200) })
  const messages: object[] = []
  let full = 0
  await trail.session({ user_message: 'go' }, async (session) => {
    for (let step = 0; step < steps; step++) {
      messages.push({ role: 'user', content: prose(150) })
      full += JSON.stringify(messages).length
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages })
      const output_text = prose(60)
      session.record('llm_result', { output_text, input_tokens: 1, output_tokens: 2 })
      messages.push({ role: 'assistant', content: output_text })
      if (step % 50 === 49) await trail.flush()
    }
  })
  const last = (await trail.calls({ event_type: 'llm_call' }).all()).at(-1) as LLMCall
  expect(last.input_messages).toEqual(messages.slice(0, -1))
  await trail.close()
  const stored = statSync(db).size
  process.stderr.write(`${steps} steps: ${stored} bytes stored, ${full} for all messages each time: 1/${Math.round(full / stored)}\n`)
  expect(stored * part).toBeLessThanOrEqual(full)
})
