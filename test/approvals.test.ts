// An agent asks and waits while another process decides. The other process is a ledger of its own on the same file, as `counterfoil approvals` opens it.

import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ApprovalOnRecord, ApprovalReader } from '../src/ledger/approvals.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import type { Placed, Refused } from '../src/ledger/batch.ts'
import { decisionDraft, interventionDraft } from '../src/event/deciding.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import type { AgentSession } from '../src/recorder/session.ts'
import type { ToolContext, Trail } from '../src/index.ts'
import { root } from './built-package.ts'
import { startChild } from './child.ts'
import { scratch, scratchTrail, type Scratch } from './scratch.ts'

/** Somebody else, who has the file open too. */
class Others {
  readonly ledger: Ledger
  readonly #reader: ApprovalReader

  constructor(ledger: Ledger) {
    this.ledger = ledger
    this.#reader = new ApprovalReader(ledger, ledger.keyring)
  }

  static async open({ db, home }: Scratch): Promise<Others> {
    const ledger = await Ledger.open({ open: () => openSqliteStore(db), home })
    onTestFinished(() => ledger.close())
    return new Others(ledger)
  }

  /** The nth request, as soon as it is on record. */
  async request(nth = 0): Promise<ApprovalOnRecord> {
    for (;;) {
      const asked = (await this.#reader.approvals({}, 10)).items[nth]
      if (asked !== undefined) return asked
      await setTimeout(20)
    }
  }

  async decide(question: ApprovalOnRecord, decision: 'approved' | 'rejected', id: string, comment?: string): Promise<Placed | Refused> {
    const draft = decisionDraft(question, { decision, comment }, { id, assurance: 'terminal' }, Date.now(), [])
    return (await this.ledger.append([{ draft, writer: 'local' }]))[0]!
  }

  async stop(session_id: string): Promise<void> {
    await this.ledger.append([{ draft: interventionDraft(session_id, { kind: 'stop', note: 'enough' }, { id: 'op' }, Date.now(), []), writer: 'local' }])
  }
}

const codeOf = (answer: Placed | Refused): string => ('refused' in answer ? answer.refused.code : 'placed')
const later = (ms: number): Date => new Date(Date.now() + ms)

async function proved(trail: Trail): Promise<void> {
  await trail.flush()
  expect((await trail.verify()).problems).toEqual([])
}

describe('an approval by others', () => {
  test('is waited for, and binds the act to what was asked', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    const pay = trail.tool({ name: 'pay', risk: 'high', approval: true }, ({ amount }: { amount: number }, { approval }: ToolContext) => ({ amount, by: approval?.approver_id, said: approval?.comment }))
    const paid = trail.session({ user_id: 'anna' }, () => pay({ amount: 5 }))
    const others = await Others.open(at)
    const asked = await others.request()
    expect(asked).toMatchObject({ tool_name: 'pay', state: 'open', quorum: 1, approvals: 0, used: false, agent_id: 'agent-1' })
    expect(await others.decide(asked, 'approved', 'boss', 'fine')).toMatchObject({ index: expect.any(Number) })
    expect(await paid).toEqual({ amount: 5, by: 'boss', said: 'fine' })
    expect(await others.request()).toMatchObject({ state: 'approved', used: true })
    expect(await trail.calls({ event_type: 'tool_call' }).all()).toMatchObject([{ tool_input: { amount: 5 }, approval_status: 'approved', approver_id: 'boss', outcome: 'success' }])
    await proved(trail)
  })

  test('is refused for another input, another tool, and a second act', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    await trail.session({}, async (given) => {
      const session = given as unknown as AgentSession
      const asking = session.ask({ tool_name: 'pay', tool_input: { amount: 5 } }, undefined)
      const others = await Others.open(at)
      await others.decide(await others.request(), 'approved', 'boss')
      const recorded = await asking
      const use = async (name: string, input: string, change: 'input' | 'none'): Promise<void> => {
        const intent = session.beginTool(name, input, { risk: 'low', approval: change === 'input' ? { ...recorded, request: session.record('tool_call', { tool_name: 'pay', tool_input: JSON.parse(input) as never }).event_id } : recorded })
        await session.guard(intent, 'low', true)
      }
      await expect(use('pay', '{"amount":5000}', 'input')).rejects.toMatchObject({ code: 'approval_other_input' })
      await expect(use('delete', '{"amount":5}', 'none')).rejects.toMatchObject({ code: 'approval_other_tool' })
      await use('pay', '{"amount":5}', 'none')
      await expect(use('pay', '{"amount":5}', 'none')).rejects.toMatchObject({ code: 'approval_used' })
    })
    await proved(trail)
  })

  test('that nobody gives in time means no, and an answer after that is refused, and on record', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    const others = await trail.session({}, async (session) => {
      expect(await session.approval({ tool_name: 'pay', tool_input: {}, expires: later(700) })).toMatchObject({ decision: 'expired' })
      return Others.open(at)
    })
    const asked = await others.request()
    expect(asked).toMatchObject({ state: 'expired', decisions: [{ decision: 'expired', counts: true }] })
    expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('approval_late')
    expect(await others.request()).toMatchObject({ state: 'expired', decisions: [{ decision: 'expired' }, { decision: 'approved', counts: false, approver_id: 'boss' }] })
    expect(await trail.events({ event_type: 'approval_decision' }).all()).toMatchObject([{ decision: 'expired', outcome: 'timeout' }, { decision: 'approved', outcome: 'failure' }])
    expect(await trail.calls({ event_type: 'tool_call' }).all()).toMatchObject([{ approval_status: 'rejected' }])
    await proved(trail)
  })

  test('after its expiry is refused also where nobody waits any more', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    const session = await trail.start({})
    const asking = session.approval({ tool_name: 'pay', tool_input: {}, expires: later(1_000) })
    const others = await Others.open(at)
    const asked = await others.request()
    await Promise.all([session.suspend(), expect(asking).rejects.toMatchObject({ code: 'session_suspended' })])
    await expect.poll(async () => (await others.request()).state, { timeout: 20_000 }).toBe('expired')
    expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('approval_late')
    expect(await others.request()).toMatchObject({ state: 'expired', decision: null, decisions: [{ counts: false }] })
  })

  test('of several needs as many people: one of them twice, the user, and the agent do not count', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    const pay = trail.tool({ name: 'pay', approval: true, quorum: 2 }, () => 'paid')
    const paid = trail.session({ user_id: 'anna' }, () => pay({}))
    const others = await Others.open(at)
    const asked = await others.request()
    expect(codeOf(await others.decide(asked, 'approved', 'anna'))).toBe('approval_own')
    expect(codeOf(await others.decide(asked, 'approved', 'agent-1'))).toBe('approval_own')
    expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('placed')
    expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('approval_again')
    // who approved is not only remembered: another process reads it
    const third = await Others.open(at)
    expect(codeOf(await third.decide(asked, 'approved', 'boss'))).toBe('approval_again')
    expect(await others.request()).toMatchObject({ state: 'open', approvals: 1, quorum: 2 })
    expect(codeOf(await third.decide(asked, 'approved', 'carl'))).toBe('placed')
    expect(await paid).toBe('paid')
    const call = await trail.events({ event_type: 'tool_call' }).first()
    const decisions = await trail.events({ event_type: 'approval_decision' }).all()
    expect(call).toMatchObject({ approval: decisions.at(-1)!.seq }) // the last decision
    expect(await trail.calls({ event_type: 'tool_call' }).all()).toMatchObject([{ approval_status: 'approved', approver_id: 'carl' }])
    await proved(trail)
  })

  test('of several cannot be had by naming one of them: the ledger counts', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    await trail.session({}, async (given) => {
      const session = given as unknown as AgentSession
      const asking = session.ask({ tool_name: 'pay', tool_input: {}, quorum: 2 }, undefined)
      const others = await Others.open(at)
      const asked = await others.request()
      await others.decide(asked, 'approved', 'boss')
      const [first] = (await others.request()).decisions
      const early = session.beginTool('pay', '{}', { risk: 'low', approval: { request: asked.approval_id, decision: first!.event_id, approval: { approval_id: asked.approval_id, decision: 'approved' } } })
      await expect(session.guard(early, 'low', true)).rejects.toMatchObject({ code: 'approval_missing', message: expect.stringContaining('expected 2 people to approve, got 1') })
      await others.decide(asked, 'rejected', 'carl', 'not today')
      expect((await asking).approval).toMatchObject({ decision: 'rejected', approver_id: 'carl', comment: 'not today' })
    })
    await proved(trail)
  })
})

describe('a session that is taken up again', () => {
  test('finds the request that waits, or was answered meanwhile, instead of asking twice', async () => {
    const first = scratchTrail({ approve: 'others' })
    const { at } = first
    const session = await first.trail.start({ user_id: 'anna' })
    const tools = (trail: Trail, current: Pick<Trail, 'tool'>) => ({ pay: current.tool({ name: 'pay', approval: true }, ({ amount }: { amount: number }) => amount), trail })
    const waiting = tools(first.trail, session).pay({ amount: 7 })
    const others = await Others.open(at)
    const asked = await others.request()
    await Promise.all([session.suspend('waiting'), expect(waiting).rejects.toMatchObject({ code: 'session_suspended' })])
    await first.trail.close()
    expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('placed')
    const { trail } = scratchTrail({ approve: 'others' }, at)
    expect(await trail.sessions({}).first()).toMatchObject({ state: 'suspended' }) // an answer does not take it up
    const again = await trail.resume(session.session_id)
    expect(await tools(trail, again).pay({ amount: 7 })).toBe(7)
    const other = tools(trail, again).pay({ amount: 8 }) // another action is asked about
    const second = await others.request(1)
    expect(second.approval_id).not.toBe(asked.approval_id)
    await others.decide(second, 'rejected', 'boss')
    await expect(other).rejects.toMatchObject({ code: 'approval_denied' })
    await again.end()
    expect(await trail.events({ event_type: 'approval_request' }).count()).toBe(2)
    await proved(trail)
  })
})

describe('a process that is killed while it waits', () => {
  test('leaves its question, which is answered, and found again by the one that takes the session up', async () => {
    const at = scratch()
    const { child, said, ended } = startChild(`
      import { openTrail } from ${JSON.stringify(join(root, 'src/index.ts'))}
      const trail = openTrail(process.argv[2], { agent_id: 'agent-1', approve: 'others' })
      const session = await trail.start({ user_id: 'anna' })
      process.stdout.write(session.session_id)
      await session.tool({ name: 'pay', approval: true }, () => process.exit(9))({ amount: 7 })
    `, [at.db], { COUNTERFOIL_HOME: at.home })
    while (said().length < 36 && child.exitCode === null) await setTimeout(20)
    const others = await Others.open(at)
    const asked = await others.request()
    child.kill('SIGKILL')
    expect(await ended).toMatchObject({ signal: 'SIGKILL', stderr: '' })
    expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('placed')
    const { trail } = scratchTrail({ approve: 'others' }, at)
    const again = await trail.resume(said())
    expect(await again.tool({ name: 'pay', approval: true }, ({ amount }: { amount: number }) => amount)({ amount: 7 })).toBe(7)
    await again.end()
    expect(await trail.events({ event_type: 'approval_request' }).count()).toBe(1)
    await proved(trail)
  })
})

describe('a stop', () => {
  test('during a plan of three acts aborts the one that runs and keeps the next from beginning', async () => {
    const { trail, at } = scratchTrail()
    const ran: string[] = []
    const act = (name: string) => trail.tool({ name }, async (_input: object, { signal }: ToolContext) => {
      ran.push(name)
      if (name === 'two') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }))
      return name
    })
    const [one, two, three] = ['one', 'two', 'three'].map(act)
    const plan = trail.session({}, async (session) => {
      await one!({})
      const others = await Others.open(at)
      const acting = two!({}).catch((error: unknown) => error)
      await expect.poll(() => ran, { timeout: 20_000 }).toContain('two')
      await others.stop(session.session_id)
      expect(await acting).toMatchObject({ code: 'session_stopped' })
      await three!({})
    })
    await expect(plan).rejects.toMatchObject({ code: 'session_stopped' })
    expect(ran).toEqual(['one', 'two'])
    await trail.flush()
    const events = await trail.events({ event_type: ['tool_call', 'human_intervention'] }).all()
    expect(events.map((event) => ('tool_name' in event ? event.tool_name : event.event_type))).toEqual(['one', 'two', 'human_intervention']) // no intent after it
    await proved(trail)
  })

  test('that the agent has not heard of yet is enforced by the ledger, and ends what waits', async () => {
    const { trail, at } = scratchTrail({ approve: 'others' })
    await trail.session({}, async (given) => {
      const session = given as unknown as AgentSession
      const asking = session.ask({ tool_name: 'pay', tool_input: {} }, undefined).catch((error: unknown) => error)
      const others = await Others.open(at)
      const asked = await others.request()
      await others.stop(session.session_id)
      await expect(session.guard(session.beginTool('two', '{}', { risk: 'low' }), 'low')).rejects.toMatchObject({ code: 'session_stopped' })
      expect(await asking).toMatchObject({ code: 'session_stopped' })
      expect(await others.request()).toMatchObject({ state: 'rejected' })
      expect(codeOf(await others.decide(asked, 'approved', 'boss'))).toBe('session_stopped')
      session.record('tool_call', { tool_name: 'told', tool_input: {} }) // an intent, told by hand
    })
    await trail.flush()
    expect((await trail.events({ event_type: 'tool_call' }).all()).map(({ outcome }) => outcome)).toEqual(['denied', 'denied'])
    await proved(trail)
  })
})
