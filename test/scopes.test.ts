// Content of several persons in one session, told apart by its author: whose it is goes with them, and nothing else does.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTrail, type Session, type ToolCall, type Trail } from '../src/index.ts'
import { Absent } from '../src/event/view.ts'
import { scratch } from './sample-log.ts'

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
      await trail.erase({ user_id: B }, because)
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
