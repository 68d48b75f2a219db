// Content of several persons in one session, told apart by its author: whose it is goes with them, and nothing else does.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { auditedFetch } from '../src/anthropic.ts'
import { MisuseError, openTrail, type LLMCall, type Session, type ToolCall, type Trail } from '../src/index.ts'
import { Absent } from '../src/event/view.ts'
import { LogReader } from '../src/ledger/reader.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { appendAll, handed, json, openKeyring, openLog, originAt, scratch, Telling, text, verifyAt } from './sample-log.ts'
import { randomRef } from '../src/base/ids.ts'
import type { Draft } from '../src/event/draft.ts'

const folder = scratch()
afterAll(() => folder.remove())
let n = 0
let at: { folder: string; db: string; home: string }
let trail: Trail
const open = (more: object = {}): Trail => openTrail(at.db, { home: at.home, agent_id: 'support-bot', ...more })

beforeEach(() => {
  const own = join(folder.folder, `trail-${n++}`)
  mkdirSync(own)
  at = { folder: own, db: join(own, 'trail.db'), home: join(folder.folder, `home-${n}`) }
  trail = open()
})
afterEach(() => trail.close().catch(() => {}))

const because = { reason: 'request 88' }
const B = 'c-4712'
const C = 'c-4713'

/** Every byte of the database, the files beside it and the spools, as another process reads them. */
function bytes(): Buffer {
  const files = readdirSync(at.folder, { recursive: true, encoding: 'utf8' }).map((name) => join(at.folder, name)).filter((path) => statSync(path).isFile())
  return execFileSync('cat', files, { maxBuffer: 1 << 30 })
}

/** What must be gone with each scope of a session: the wrapped secret, the person's hash, the sealed content. */
function tokensOf(session_id: string): [what: string, token: Buffer, k: number][] {
  using database = new DatabaseSync(at.db, { readOnly: true })
  return (database.prepare('SELECT k, scope, wrapped FROM scopes WHERE session_id = ? ORDER BY k').all(session_id) as { k: number; scope: Uint8Array; wrapped: Uint8Array }[]).flatMap(({ k, scope, wrapped }) => {
    const [person] = database.prepare('SELECT subject FROM subjects WHERE scope = ?').all(scope) as { subject: Uint8Array }[]
    const [segment] = database.prepare('SELECT bytes FROM segments WHERE scope = ?').all(scope) as { bytes: Uint8Array }[]
    return [['wrapped', Buffer.from(wrapped.slice(57, 89)), k], ['person', Buffer.from(person!.subject), k], ['ciphertext', Buffer.from(segment!.bytes.slice(60, 92)), k]]
  })
}

/** Each value that is an Absent in the events of a session, as `type.field`, with why. */
async function absent(session_id: string): Promise<string[]> {
  const found: string[] = []
  for (const event of await trail.events({ session_id }).all()) {
    for (const [name, value] of Object.entries(event)) for (const one of Array.isArray(value) ? value : [value]) if (one instanceof Absent && name !== 'user_id') found.push(`${event.event_type}.${name} ${one.reason} ${String(one.by)}`)
  }
  return found
}

describe('what is said to be of a person', () => {
  it('is erased with them in every session, and the rest stays', async () => {
    const ids: string[] = []
    for (const user_id of ['a-1', 'a-2']) {
      await trail.session({ user_id, user_message: `hello from ${user_id}` }, async (session) => {
        ids.push(session.session_id)
        session.record('data_access', { source: 'crm', reference: `Berta Bund, Bern`, subject: B })
        session.record('data_access', { source: 'crm', reference: `Carla Cohn, Cham`, subject: C })
        session.record('reasoning', { text: 'of nobody' })
      })
    }
    const receipt = await trail.erase({ user_id: B }, because)
    const ordered = receipt.index! - 1
    for (const session_id of ids) {
      expect(await absent(session_id)).toEqual([`subject.identity erased ${ordered}`, `data_access.reference erased ${ordered}`])
      expect((await trail.events({ session_id, event_type: 'data_access' }).all()).map(({ reference }) => reference)).toEqual([new Absent('erased', ordered), 'Carla Cohn, Cham'])
      expect((await trail.sessions({ session_id }).first())!.user_id).toMatch(/^a-/)
    }
    const verdict = await trail.verify({ require: ['unchanged', 'payloads'] })
    expect([verdict.problems, verdict.counts.erased]).toEqual([[], 4])
    await expect(trail.erase({ user_id: B }, because)).rejects.toMatchObject({ code: 'nothing_to_erase' })
    await trail.erase({ session_id: ids[0]!, subject: C }, because)
    expect((await trail.events({ session_id: ids[1]!, event_type: 'data_access' }).all())[1]!.reference).toBe('Carla Cohn, Cham')
    expect((await trail.events({ session_id: ids[0]!, event_type: 'data_access' }).all())[1]!.reference).toBeInstanceOf(Absent)
    expect((await trail.verify()).problems).toEqual([])
  })

  it('goes from every byte: words, ids and keys', async () => {
    let session!: Session
    await trail.session({ user_id: 'a-1' }, async (own) => {
      session = own
      own.record('data_access', { source: 'crm', reference: 'Berta Bund, Bern', subject: B })
      own.record('data_access', { source: 'crm', reference: 'Carla Cohn, Cham', subject: C })
      await trail.flush()
      const tokens = tokensOf(own.session_id)
      expect(tokens.map(([what, , k]) => `${what} ${k}`)).toEqual([0, 1, 2].flatMap((k) => [`wrapped ${k}`, `person ${k}`, `ciphertext ${k}`]))
      const there = (): string[] => { const all = bytes(); return tokens.filter(([, token]) => all.includes(token)).map(([what, , k]) => `${what} ${k}`) }
      expect(there()).toHaveLength(9)
      await trail.erase({ user_id: B }, because)
      expect(there().filter((what) => what.endsWith('1'))).toEqual([])
      expect(there()).toHaveLength(6)
      own.record('reasoning', { text: 'it goes on', subject: C })
      own.record('reasoning', { text: 'Berta again', subject: B }) // late: for a scope that is gone
    })
    await trail.flush()
    expect((await trail.sessions({ session_id: session.session_id }).first())!.state).toBe('ended')
    const events = await trail.events({ session_id: session.session_id, event_type: 'reasoning' }).all()
    expect(events.map(({ text }) => (text instanceof Absent ? text.reason : text))).toEqual(['it goes on', 'erased'])
    expect((await trail.events({ session_id: session.session_id, event_type: 'session_resume' }).all())).toEqual([]) // erasing a scope ended nothing
    expect((await trail.verify()).problems).toEqual([])
    await trail.close()
    for (const residue of ['Berta', B]) expect(bytes().includes(residue), residue).toBe(false)
    expect(existsSync(`${at.db}-wal`) && statSync(`${at.db}-wal`).size > 0).toBe(false)
  })
})

describe('a tool that says whose its input is', () => {
  const lookUp = (): ((input: { customer: string }) => Promise<unknown>) & { run(input: unknown, call_id?: string): Promise<unknown> } => trail.tool(
    { name: 'look_up', subject: ({ customer }: { customer: string }) => customer, approval: async () => ({ decision: 'approved', approver_id: 'lead-2', comment: 'fine for Berta' }) },
    async ({ customer }: { customer: string }, { session }) => {
      session.record('data_access', { source: 'crm', reference: `the row of ${customer}` })
      if (customer === C) throw new Error(`no row of ${customer}`)
      return { customer, address: 'Bern' }
    },
  )

  it('has input, output, approval, errors and what it records in their scope, and nothing else', async () => {
    const tool = lookUp()
    await trail.session({ user_id: 'a-1', user_message: 'compare them' }, async () => {
      await tool.run({ customer: B }, 'toolu_1')
      await tool.run({ customer: C }, 'toolu_2')
    })
    const [session] = await trail.sessions().all()
    await trail.erase({ user_id: B }, because)
    const gone = await absent(session!.session_id)
    const by = (await trail.events({ event_type: 'erasure' }).first())!.index
    expect(gone).toEqual([
      'subject.identity', 'approval_request.shown', 'approval_request.tool_input', 'approval_decision.comment', 'tool_call.tool_input', 'data_access.reference', 'tool_result.tool_output',
    ].map((what) => `${what} erased ${by}`))
    const calls = (await trail.calls({ tool_name: 'look_up' }).all()) as ToolCall[]
    expect(calls.map(({ tool_input, tool_output, error, approver_id }) => [tool_input, tool_output, error, approver_id])).toEqual([
      [new Absent('erased', by), new Absent('erased', by), null, 'lead-2'], [{ customer: C }, null, `no row of ${C}`, 'lead-2'],
    ])
    const resumed = await trail.resume(session!.session_id)
    const rows = await resumed.trail()
    expect(rows.map(({ event_type }) => event_type)).not.toContain('subject')
    expect(rows.filter(({ content }) => content.includes('erased')).map(({ event_type }) => event_type)).toEqual(['approval_request', 'approval_decision', 'tool_call', 'data_access'])
    await resumed.end()
    expect(JSON.stringify(await trail.events().all())).not.toContain(B)
    expect(JSON.stringify(await trail.why(calls[0]!.event_id))).toContain('erased')
    expect(JSON.stringify(await trail.why(calls[1]!.event_id))).toContain(C)
    await trail.erase({ user_id: C }, because)
    expect((await trail.verify()).problems).toEqual([])
    for (const residue of [B, C, 'Bern']) expect(JSON.stringify(await trail.events().all()), residue).not.toContain(residue)
  })

  it('shows an approver, and keeps with the request, the reasoning of the same person alone', async () => {
    const shown: (readonly string[])[] = []
    const pay = trail.tool({ name: 'pay', subject: ({ to }: { to: string }) => to, approval: async ({ reasoning }) => { shown.push(reasoning); return { decision: 'approved', approver_id: 'lead-2' } } }, () => 'paid')
    await trail.session({ user_id: 'a-1' }, async (session) => {
      session.record('reasoning', { text: 'of the session' })
      session.record('reasoning', { text: 'of Carla', subject: C })
      session.record('reasoning', { text: 'of Berta', subject: [B] })
      await pay.run({ to: B })
    })
    expect(shown).toEqual([['of Berta']])
  })

  it('that fails at an input, or says nothing of use, does not run it', async () => {
    for (const subject of [() => { throw new Error('no idea') }, () => 7, () => '', () => []] as never[]) {
      let ran = false
      const tool = trail.tool({ name: 'odd', subject }, async () => { ran = true })
      await trail.session({}, async () => expect(await tool.run({ a: 1 })).toMatchObject({ is_error: true, content: expect.stringMatching(/nobody can say whose this input is/) as string }))
      expect(ran).toBe(false)
    }
    expect(() => trail.tool({ name: 'odd', subject: 'c-1' as never }, async () => 1)).toThrow(/function of the input/)
  })
})

describe('model calls', () => {
  const call = (messages: readonly unknown[], more: object = {}): object => ({ provider: 'p', model_id: 'm', input_messages: messages, ...more })
  const messagesOf = async (session_id: string): Promise<unknown[][]> => (await trail.events({ session_id, event_type: 'llm_call' }).all()).map(({ input_messages }) => (input_messages as unknown[]).map((one) => (one instanceof Absent ? one.reason : one)))

  it('of several persons share no content, also where it is equal, and go on from what is nobody\'s', async () => {
    const session = await trail.start({ user_id: 'a-1' })
    session.record('llm_call', call(['hello']) as never)
    for (const subject of [B, C, B]) session.record('llm_call', call(['hello', 'Summarise the file', `of ${subject}`], { subject, system_prompt: 'be careful' }) as never)
    session.record('llm_call', call(['hello', 'Summarise the file', `of ${B}`, 'and now']) as never)
    await session.end()
    await trail.erase({ user_id: B }, because)
    expect(await messagesOf(session.session_id)).toEqual([
      ['hello'], ['hello', 'erased', 'erased'], ['hello', 'Summarise the file', `of ${C}`], ['hello', 'erased', 'erased'], ['hello', 'erased', 'erased', 'and now'],
    ])
    expect((await trail.events({ session_id: session.session_id, event_type: 'llm_call' }).all()).map(({ system_prompt }) => (system_prompt instanceof Absent ? system_prompt.reason : system_prompt))).toEqual([undefined, 'erased', 'be careful', 'erased', undefined])
    expect((await trail.verify()).problems).toEqual([])
  })

  it('around which somebody is named are theirs, with their results and the sessions begun meanwhile', async () => {
    const session = await trail.start({ user_id: 'a-1' })
    let child!: Session
    await session.about(B, async () => {
      await session.llm(call(['about Berta']) as never, async () => 1, () => ({ output_text: 'Berta lives in Bern' }))
      child = await session.run(() => trail.start({ user_message: 'go on for Berta' }))
      await session.agent({ agent_id: 'helper', instructions: 'help Berta' }, (own) => own.record('reasoning', { text: 'Berta needs help' }))
    })
    session.record('reasoning', { text: 'of the session' })
    await child.end()
    await session.end()
    await trail.erase({ user_id: B }, because)
    expect(JSON.stringify(await trail.events().all())).not.toContain('Berta')
    expect((await trail.events({ session_id: session.session_id, event_type: 'reasoning' }).all())[0]!.text).toBe('of the session')
    expect((await trail.verify()).problems).toEqual([])
    expect((await trail.sessions({ subject: 'a-1' }).all()).length).toBe(2) // the agent's child is for the same user
  })
})

describe('calls over the wire', () => {
  const answers = (...contents: (readonly object[])[]): typeof globalThis.fetch => {
    let i = 0
    return (async () => new Response(JSON.stringify({ id: `msg_${i}`, type: 'message', role: 'assistant', model: 'claude-opus-4-6', content: contents[i++], stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } }), { headers: { 'content-type': 'application/json' } }))
  }
  const ask = async (fetch: (url: string, init: RequestInit) => Promise<Response>, messages: readonly object[]): Promise<{ content: { type: string; id: string; input: never }[] }> =>
    (await fetch('https://api.anthropic.com/v1/messages', { method: 'POST', body: JSON.stringify({ model: 'claude-opus-4-6', max_tokens: 9, messages }) })).json() as never

  it('are told apart by the tools that they ask for: the request, its echo and the result go with the person', async () => {
    const look_up = trail.tool({ name: 'look_up', subject: ({ customer }: { customer: string }) => customer }, async ({ customer }) => ({ address: `${customer} lives in Bern` }))
    const use = (id: string, customer: string): object => ({ type: 'tool_use', id, name: 'look_up', input: { customer } })
    const fetch = auditedFetch(trail, answers([use('toolu_1', B)], [use('toolu_2', C), use('toolu_3', B)], [{ type: 'text', text: 'done' }])) as never
    const messages: object[] = [{ role: 'user', content: 'compare' }]
    await trail.session({ user_id: 'a-1' }, async () => {
      for (let turn = 0; turn < 3; turn++) {
        const { content } = await ask(fetch, messages)
        messages.push({ role: 'assistant', content })
        const results = await Promise.all(content.filter(({ type }) => type === 'tool_use').map(async ({ id, input }) => ({ type: 'tool_result', tool_use_id: id, content: (await look_up.run(input, id)).content })))
        if (results.length > 0) messages.push({ role: 'user', content: results })
      }
    })
    const [session] = await trail.sessions().all()
    await trail.erase({ user_id: B }, because)
    const calls = await trail.events({ event_type: 'llm_call' }).all()
    const shown = calls.map(({ input_messages }) => (input_messages as unknown[]).map((one) => (one instanceof Absent ? one.reason : 'there')))
    expect(shown).toEqual([['there'], ['there', 'erased', 'erased'], ['there', 'erased', 'erased', 'erased', 'erased']]) // what is of both goes with the first
    const answered = await trail.events({ event_type: 'llm_result' }).all()
    expect(answered.map(({ output, tool_calls_requested }) => [...(output as unknown[]), tool_calls_requested].map((one) => (one instanceof Absent ? one.reason : typeof one)))).toEqual([['erased', 'erased'], ['erased', 'erased', 'erased'], ['object', 'undefined']])
    expect(JSON.stringify(await trail.events().all())).not.toContain(B)
    const tools = (await trail.calls({ tool_name: 'look_up' }).all()) as ToolCall[]
    expect(tools.map(({ tool_output }) => (tool_output instanceof Absent ? 'erased' : 'there'))).toEqual(['erased', 'there', 'erased'])
    expect((await trail.verify()).problems).toEqual([])
    await trail.erase({ session_id: session!.session_id, subject: C }, because)
    expect((await trail.verify()).problems).toEqual([])
  })

  it('are of whom they were begun about, wherever their answer is read', async () => {
    const fetch = auditedFetch(trail, answers([{ type: 'text', text: 'Berta is fine' }])) as (url: string, init: RequestInit) => Promise<Response>
    await trail.session({}, async (session) => {
      const response = await session.about(B, () => fetch('https://api.anthropic.com/v1/messages', { method: 'POST', body: JSON.stringify({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'how is Berta?' }] }) }))
      await response.text()
    })
    await trail.erase({ user_id: B }, because)
    expect(JSON.stringify(await trail.events().all())).not.toContain('Berta')
    expect((await trail.calls().first())!).toMatchObject({ output_text: expect.any(Absent) as Absent })
  })

  it('are told apart message by message, where the author says whose each is; a question that fails leaves it to the call', async () => {
    const of = (message: unknown): string | undefined => {
      const text = JSON.stringify(message)
      if (text.includes('odd')) throw new Error('odd')
      return text.includes('Berta') ? B : text.includes('Carla') ? C : undefined
    }
    const warned: string[] = []
    const listen = (warning: Error): unknown => warned.push(warning.message)
    process.on('warning', listen)
    const fetch = auditedFetch(trail, answers([{ type: 'text', text: 'Berta is fine' }], [{ type: 'text', text: 'both are' }]), { subject: of }) as never
    const first = [{ role: 'user', content: 'how is Berta?' }]
    const second = [...first, { role: 'assistant', content: 'Berta is fine' }, { role: 'user', content: 'and Carla?' }, { role: 'user', content: 'something odd' }]
    await trail.session({}, async () => { await ask(fetch, first); await ask(fetch, second) })
    await trail.erase({ user_id: B }, because)
    const calls = (await trail.calls().all()) as LLMCall[]
    expect(calls.map(({ input_messages, output_text }) => [...(input_messages as unknown[]), output_text].map((one) => (one instanceof Absent ? one.reason : 'there')))).toEqual([['erased', 'erased'], ['erased', 'erased', 'there', 'there', 'there']])
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', listen)
    expect(warned.join()).toMatch(/nobody could say whose a message is/)
    expect((await trail.verify()).problems).toEqual([])
  })
})

describe('persons', () => {
  it('keep their scope when another process takes the session up, also when they are not there any more', async () => {
    const session = await trail.start({ user_id: 'e-7', subject: B, user_message: 'Berta asks' })
    session.record('reasoning', { text: 'one of Berta' })
    await session.suspend()
    await trail.close()
    trail = open()
    const again = await trail.resume(session.session_id)
    again.record('reasoning', { text: 'two of Berta' })
    again.record('reasoning', { text: 'three of Berta', subject: B })
    again.record('reasoning', { text: 'of Emil, who is the user', subject: 'e-7' })
    again.record('reasoning', { text: 'of the session', subject: null })
    await trail.flush()
    const scopesOf = async (): Promise<number[]> => {
      using database = new DatabaseSync(at.db, { readOnly: true })
      return (database.prepare(`SELECT k FROM scopes WHERE session_id = ? AND generation > 0 ORDER BY k`).all(session.session_id) as { k: number }[]).map(({ k }) => k)
    }
    expect(await scopesOf()).toEqual([0, 1])
    await again.suspend()
    await trail.erase({ user_id: B }, because)
    await trail.close()
    trail = open()
    const third = await trail.resume(session.session_id)
    third.record('reasoning', { text: 'four of Berta' }) // of whom the session is about: erased
    await third.end()
    const texts = (await trail.events({ session_id: session.session_id, event_type: 'reasoning' }).all()).map(({ text }) => (text instanceof Absent ? text.reason : text))
    expect(texts).toEqual(['erased', 'erased', 'erased', 'of Emil, who is the user', 'of the session', 'erased'])
    expect((await trail.verify()).problems).toEqual([])
    expect(JSON.stringify(await trail.events({ session_id: session.session_id }).all())).not.toContain('Berta')
  })

  it('are known from the spool of a process that was killed, each event in its scope', async () => {
    await trail.close()
    const script = `
      import { openTrail } from './src/index.ts'
      const trail = openTrail(process.argv[1], { home: process.argv[2], agent_id: 'a' })
      const session = await trail.start({ user_id: 'a-1' })
      for (let i = 0; i < 20; i++) session.record('reasoning', { text: 'number ' + i, subject: 'p-' + (i % 3) })
      process.kill(process.pid, 'SIGKILL')`
    expect(() => execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script, at.db, at.home], { stdio: 'ignore' })).toThrow()
    trail = open()
    await trail.ready()
    expect((await trail.events({ event_type: 'reasoning' }).all()).length).toBe(20)
    await trail.erase({ user_id: 'p-1' }, because)
    expect((await trail.events({ event_type: 'reasoning' }).all()).map(({ text }, i) => (text instanceof Absent ? 1 : i % 3 === 1 ? -1 : 0))).toEqual(Array.from({ length: 20 }, (_, i) => (i % 3 === 1 ? 1 : 0)))
    expect((await trail.verify()).problems).toEqual([])
  })

  it('of content that is of several, each take it along', async () => {
    const session = await trail.start({})
    session.record('reasoning', { text: 'of both', subject: [C, B, C] })
    session.record('reasoning', { text: 'of both again', subject: [B, C] })
    session.record('reasoning', { text: 'of Berta', subject: B })
    session.record('reasoning', { text: 'of Carla', subject: [C] })
    await session.end()
    await trail.erase({ user_id: C }, because)
    expect((await trail.events({ event_type: 'reasoning' }).all()).map(({ text }) => (text instanceof Absent ? text.reason : text))).toEqual(['erased', 'erased', 'of Berta', 'erased'])
    expect((await trail.events({ event_type: 'subject' }).all()).length).toBe(3)
    expect((await trail.verify()).problems).toEqual([])
  })

  it('are found by the id that was given, also where masks cut it out of the record', async () => {
    await trail.close()
    trail = open({ mask: [{ name: 'customer_number', find: /c-\d+/g }] })
    await trail.session({ user_id: 'c-1' }, async (session) => {
      session.record('reasoning', { text: 'one', subject: B })
      session.record('reasoning', { text: 'two', subject: C })
    })
    await trail.erase({ user_id: B }, because)
    expect((await trail.events({ event_type: 'reasoning' }).all()).map(({ text }) => (text instanceof Absent ? text.reason : text))).toEqual(['erased', 'two'])
    expect((await trail.verify()).problems).toEqual([])
    await trail.erase({ user_id: 'c-1' }, because)
    expect((await trail.verify()).problems).toEqual([])
    expect((await trail.sessions({ subject: C }).all()).length).toBe(1)
  })

  it('are refused in no form that nobody could erase by', async () => {
    const session = await trail.start({})
    const odd = ['', 7, {}, [], [''], ['a', 7], 'x'.repeat(1_025), '\ud800', Array.from({ length: 257 }, (_, i) => `c-${i}`), true, () => 'a']
    for (const subject of odd) {
      expect(() => session.record('reasoning', { text: 'x', subject: subject as never }), String(subject)).toThrow(MisuseError)
      expect(() => session.about(subject as never, () => {})).toThrow(MisuseError)
      await expect(trail.start({ subject: subject as never })).rejects.toThrow(MisuseError)
    }
    await session.end()
    expect((await trail.events({ event_type: 'subject' }).all())).toEqual([])
    expect(() => session.record('subject' as never, {} as never)).toThrow(/not for record/)
    for (const what of [{}, { subject: B }, { user_id: B, subject: B }, { session_id: session.session_id, user_id: B }, { session_id: session.session_id, subjct: B }, { session_id: session.session_id, subject: '' }, { user_id: '' }]) {
      await expect(trail.erase(what as never, because), JSON.stringify(what)).rejects.toMatchObject({ code: 'erase_what' })
    }
  })

  it('in no more than 1,000 scopes: whoever comes later shares one', async () => {
    const session = await trail.start({})
    for (let i = 0; i < 1_003; i++) session.record('reasoning', { text: `of ${i}`, subject: `p-${i}` })
    await trail.flush()
    const again = await trail.resume(session.session_id)
    for (const i of [999, 1_002, 3]) again.record('reasoning', { text: `again of ${i}`, subject: `p-${i}` })
    await session.end()
    const { counts, problems } = await trail.verify()
    expect([problems, counts.payloads]).toEqual([[], 2 * 1_006])
    await trail.erase({ user_id: 'p-1001' }, because)
    const gone = (await trail.events({ event_type: 'reasoning' }).all()).flatMap(({ text }, i) => (text instanceof Absent ? [i] : []))
    expect(gone).toEqual([999, 1_000, 1_001, 1_002, 1_003, 1_004])
    again.record('reasoning', { text: 'of one more', subject: 'p-2000' })
    await again.end()
    expect((await trail.events({ event_type: 'reasoning' }).all()).at(-1)!.text).toBe('of one more')
    expect((await trail.verify()).problems).toEqual([])
  }, 60_000)

  it('named around a session are not those of what is told of the session itself', async () => {
    await trail.session({ user_id: 'a-0' }, (outer) => outer.about(B, () => trail.session({ user_id: 'a-1', user_message: 'of a-1' }, () => { throw new Error('of a-1 too') }).catch(() => {})))
    await trail.erase({ user_id: B }, because).catch(() => {})
    expect((await trail.events({ event_type: ['session_start', 'error'] }).all()).every((event) => !Object.values(event).some((value) => value instanceof Absent))).toBe(true)
    expect((await trail.events({ event_type: 'subject' }).all())).toEqual([])
    const session = await trail.start({})
    session.log('reasoning', { text: 'a mail', subject: 'Re: your invoice' })
    await session.end()
    expect((await trail.events({ event_type: 'custom' }).first())!.content).toEqual({ text: 'a mail', subject: 'Re: your invoice' })
  })

  it('of a session stay when its own person goes, with the sessions that it started', async () => {
    const outer = await trail.start({ user_id: 'a-1', user_message: 'outer' })
    outer.record('reasoning', { text: 'of Berta', subject: B })
    const [mine, bertas] = await outer.run(async () => [await trail.start({ user_message: 'inner' }), await trail.start({ user_id: B, user_message: 'for Berta' })])
    for (const one of [mine, bertas, outer]) await one.end()
    const messages = async (): Promise<unknown[]> => (await trail.events({ event_type: ['session_start', 'reasoning'] }).all()).map((event) => { const { user_message, text } = event as { user_message?: unknown; text?: unknown }; const said = user_message ?? text; return said instanceof Absent ? said.reason : said })
    await trail.erase({ user_id: B }, because)
    expect(await messages()).toEqual(['outer', 'erased', 'inner', 'erased'])
    outer.record('reasoning', { text: 'of Carla', subject: C })
    await trail.flush()
    await trail.erase({ user_id: 'a-1' }, because)
    expect(await messages()).toEqual(['erased', 'erased', 'erased', 'erased', 'of Carla'])
    outer.record('reasoning', { text: 'late, of Dora', subject: 'c-4714' }) // the session is erased: nothing new is kept
    outer.record('reasoning', { text: 'late, of nobody' })
    await trail.flush()
    expect((await messages()).slice(4)).toEqual(['of Carla', 'erased', 'erased'])
    await trail.erase({ session_id: outer.session_id }, because)
    expect((await messages())[4]).toBe('erased')
    expect((await trail.verify()).problems).toEqual([])
  })
})

describe('a ledger', () => {
  it('gives the same person one scope, whichever process names them, and answers repeated events as before', async () => {
    await trail.close()
    const [one, two] = [await openLog(at), await openLog(at)]
    const first = new Telling()
    const second = new Telling(first.session_id)
    const naming = (tell: Telling, ref: string, ...persons: string[]): Draft => tell.draft('subject', { subject: ref }, { identity: json({ subjects: persons, role: 'subject' }, { of: ref }) }, { persons })
    const said = (tell: Telling, ref: string, words: string): Draft => tell.draft('reasoning', { kind: 'author_stated' }, { text: text(words, { of: ref }) })
    const [r1, r2, r3, lost] = Array.from({ length: 4 }, () => randomRef()) as [string, string, string, string]
    const drafts = [first.draft('session_start', { agent_id: 'a' }, { user_message: text('hello') }), naming(first, r1, B), said(first, r1, 'equal words')]
    const more = [naming(second, r2, B), said(second, r2, 'equal words'), naming(second, r3, B, C), said(second, r3, 'equal words'), said(second, lost, 'of nobody knows whom')]
    await appendAll(one, drafts)
    await appendAll(two, more)
    const ks = await one.read(async (view) => (await view.scopes([first.session_id])).map(({ k }) => k).sort((a, b) => a - b))
    expect(ks).toEqual([0, 1, 2, 3])
    const places = async (): Promise<unknown[]> => one.append(handed(...drafts, ...more)).then((answers) => answers.map((answer) => ('index' in answer ? answer.index : answer.refused.code)))
    const before = (await places()).slice(0, -1)
    expect(before).toEqual(before.map((_, i) => Number(before[0]) + i))
    await two.erase({ user_id: B, ...because })
    expect((await places()).slice(0, -1)).toEqual(before)
    await appendAll(one, [said(first, r1, 'late'), said(second, r3, 'late too')])
    await one.close()
    await two.close()
    expect((await verifyAt(at)).problems).toEqual([])
    expect(await verifyAt(at).then(({ counts }) => counts.erased)).toBe(8)
    await expect((async () => { const three = await openLog(at); try { await appendAll(three, [first.draft('reasoning', { kind: 'author_stated' }, { text: { m: 'text', content: 'x', of: 'not a ref' } as never })]) } finally { await three.close() } })()).rejects.toThrow()
  })
})

describe('copies', () => {
  it('of the database open an erased scope no more once the key is renewed', async () => {
    await trail.session({ user_id: 'a-1' }, (session) => {
      session.record('reasoning', { text: 'of Berta', subject: B })
      session.record('reasoning', { text: 'of Carla', subject: C })
    })
    await trail.close()
    const copy = { ...at, folder: `${at.folder}-copy`, db: join(`${at.folder}-copy`, 'trail.db') }
    mkdirSync(copy.folder)
    cpSync(at.db, copy.db)
    const old = async (): Promise<unknown[]> => {
      const ledger = await openSqliteStore(copy.db, { readOnly: true })
      const reader = new LogReader(ledger, openKeyring(originAt(at), at.home))
      const texts = (await reader.events({ event_types: ['reasoning'] }, 9)).items.map(({ text }) => (text instanceof Absent ? text.reason : text))
      await ledger.close()
      return texts
    }
    const ledger = await openLog(at, { clock: Date.now })
    await ledger.erase({ user_id: B, ...because })
    expect(await old()).toEqual(['of Berta', 'of Carla']) // the window that docs/erasure.md tells of
    await ledger.renewKek()
    await ledger.close()
    expect(await old()).toEqual(['missing', 'missing']) // no secret of that copy opens with the keys that there are
    expect((await verifyAt(at)).problems).toEqual([])
  })

  it('in an archive and a bundle say of these payloads alone that they were erased', async () => {
    let session_id = ''
    await trail.session({ user_id: 'a-1' }, (session) => {
      ({ session_id } = session)
      session.record('reasoning', { text: 'of Berta', subject: B })
      session.record('reasoning', { text: 'of Carla', subject: C })
    })
    await trail.erase({ user_id: B }, because)
    await trail.close()
    const run = (...args: string[]): string => execFileSync(process.execPath, ['src/cli/main.ts', ...args, '--trail', at.db], { encoding: 'utf8', env: { ...process.env, COUNTERFOIL_HOME: at.home } })
    const bundle = join(at.folder, 'bundle.html')
    run('export', '--session', session_id, '-o', bundle, '--disclose', 'all')
    const verdict = JSON.parse(run('verify', bundle, '--json')) as { whole: boolean; problems: unknown[]; counts: { erased: number } }
    expect([verdict.whole, verdict.problems, verdict.counts.erased]).toEqual([true, [], 2])
    const archive = join(at.folder, 'archive')
    run('archive', archive)
    expect(JSON.parse(run('verify', archive, '--json'))).toMatchObject({ whole: true, problems: [] })
    expect(run('show', session_id)).toMatch(/concerns .*erased by #\d+[^]*erased by #\d+[^]*concerns +c-4713\n.*of Carla/)
    expect(run('erase', session_id, '--subject', C, '--reason', 'request 89', '--yes')).toMatch(/^erased c-4713 in session \w+: 1 session with 2 payloads of 2 events\n {2}ordered in #\d+, done in #\d+\n/)
    expect(JSON.parse(run('verify', '--json'))).toMatchObject({ whole: true, problems: [] })
  })
})
