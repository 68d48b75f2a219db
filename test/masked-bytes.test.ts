// Nothing that is masked reaches a disk: searched byte by byte in every file of a trail, and in spools and payloads opened with their keys.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSpool } from '../src/spool/reader.ts'
import { openSpoolKey, SPOOL_ORIGIN } from '../src/vault/spool-key.ts'
import { openTrail, type Approver, type Trail } from '../src/index.ts'
import { scratch } from './scratch.ts'

const SECRET = 'sk-ant-api03-abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ-AAAAAA'
const CARD = '4111 1111 1111 1111'
const PLAIN = 'an unmasked sentence about order 1182'

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile())
}

/** Tells the trail the secret wherever content can be told. */
async function tellEverywhere(trail: Trail): Promise<void> {
  const said = `${PLAIN} ${SECRET} ${CARD}`
  const ask: Approver = () => Promise.resolve({ decision: 'approved', approver_id: 'boss', comment: said })
  const tool = trail.tool({ name: 'act', approval: ask }, (input: unknown) => { throw new Error(`${said} ${JSON.stringify(input)}`) })
  await trail.session({ user_id: 'u', user_message: said, system_prompt: said, tags: { said }, on_behalf_of: said, session_id: said }, async (session) => {
    session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: Array.from({ length: 300 }, (_, i) => ({ role: 'user', content: `${i} ${said}` })), tool_definitions: [{ said }], parameters: { said }, system_prompt: `${said}!` })
    session.record('llm_result', { output_text: said, output: [{ said }], tool_calls_requested: [{ name: 'act', input: { said } }], error: new Error(said) })
    session.record('reasoning', { text: said })
    session.record('state_snapshot', { state: { escaped: said.split('').join(''), nested: [[said]] } })
    session.record('error', { error: new Error(said) })
    session.log('mine', { said })
    session.log('a name that is no label', said)
    const cycle: { said: string; self?: unknown } = { said }
    cycle.self = cycle
    session.log('cycle', cycle as never)
    session.intervene('override', { actor: said, note: said })
    await tool.run({ said })
    await session.agent({ agent_id: 'child', instructions: said }, (child) => { child.record('final_output', { output: said }) })
    await session.end({ outcome: 'success', reason: said, final_output: said })
  })
}

test('no byte of a secret or a card number is in any file, nor in what the keys open', async () => {
  const { folder, db, home } = scratch()
  const trail = openTrail(db, { agent_id: 'agent-1' })
  await tellEverywhere(trail)
  const key = openSpoolKey(home)
  const spooled = readdirSync(`${db}.spool`).filter((name) => /^[0-9a-f]{32}$/.test(name))
    .flatMap((name) => [...readSpool(join(`${db}.spool`, name), { origin: SPOOL_ORIGIN, key })].map(({ bytes }) => Buffer.from(bytes).toString('latin1'))).join('\n')
  const read = JSON.stringify(await trail.events().all())
  const raw = filesUnder(folder).map((path) => readFileSync(path, 'latin1')).join('\n')
  await trail.close()
  const files = raw + filesUnder(folder).map((path) => readFileSync(path, 'latin1')).join('\n')
  expect([spooled.includes(PLAIN), read.includes(PLAIN), files.includes('llm_call')]).toEqual([true, true, true]) // the search would find it
  expect(files.includes(PLAIN)).toBe(false) // encrypted
  for (const word of [SECRET, CARD, SECRET.slice(12, 40), '1111 1111']) expect([spooled.includes(word), read.includes(word), files.includes(word)]).toEqual([false, false, false])
})

test('the same search finds them when nothing is masked', async () => {
  const { db, home } = scratch()
  await using trail = openTrail(db, { agent_id: 'agent-1', mask: [] })
  await tellEverywhere(trail)
  const key = openSpoolKey(home)
  const [name] = readdirSync(`${db}.spool`).filter((each) => /^[0-9a-f]{32}$/.test(each))
  const spooled = [...readSpool(join(`${db}.spool`, name!), { origin: SPOOL_ORIGIN, key })].map(({ bytes }) => Buffer.from(bytes).toString('latin1')).join('\n')
  expect([spooled.includes(SECRET), spooled.includes(CARD)]).toEqual([true, true])
})

test('a pattern that its owner uses too masks all the same', async () => {
  const { db } = scratch()
  const find = /hidden/g
  await using trail = openTrail(db, { agent_id: 'agent-1', mask: [{ name: 'word', find }] })
  find.test('some hidden word') // leaves lastIndex behind it
  await trail.session({}, (session) => { session.record('reasoning', { text: 'hidden' }) })
  expect(await trail.events({ event_type: 'reasoning' }).all()).toMatchObject([{ text: '[masked:word]' }])
})
