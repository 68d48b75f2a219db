// What every driver of the contract must do, as tests for any runner. Each test opens a store of its own and works on what the
// driver really keeps: there is no mock of a database. A driver that cannot keep a log beyond its store leaves `reopen` out.

import assert from 'node:assert/strict'
import { sha256 } from '#crypto'
import { concat, fromUtf8, toHex, utf8 } from '../base/bytes.ts'
import { StoreError } from '../base/errors.ts'
import type { EntryRow, ScopeRow, Store, StoreTx, TileRow } from './contract.ts'

/** One empty log, and what a test needs beside its store. */
export interface Subject {
  readonly store: Store
  /** Closes the store and opens the same log again. */
  readonly reopen?: () => Promise<Store>
  /** Another store on the same log, which stays open beside the first one; `destroy` closes it. */
  readonly another?: () => Promise<Store>
  /** Closes the store, lets another process read every byte that is left of the log, and says how many of `needles` are in it. */
  readonly search?: (needles: readonly Uint8Array[]) => Promise<number>
  /** Closes what is open and removes the log. */
  readonly destroy: () => Promise<void>
}

export interface Driver { readonly name: string; open(): Promise<Subject> }

/** The two functions of the test runner that the suite calls. */
export interface Runner { describe(name: string, body: () => void): void; it(name: string, body: () => Promise<void>): void }

/** Registers the tests of `driver` with `runner`. */
export function storeSuite(driver: Driver, { describe, it }: Runner): void {
  const test = (name: string, body: (subject: Subject) => Promise<void>): void => it(name, async () => {
    const subject = await driver.open()
    try {
      await body(subject)
    } finally {
      await subject.destroy()
    }
  })

  describe(`${driver.name}: an append`, () => {
    test('is all there when it resolves', async ({ store }) => {
      assert.equal(await store.append(async (tx) => (await fill(tx), 'result')), 'result')
      same(await store.read((view) => view.counts()), { heads: 1, entries: 3, tiles: 1, sessions: 1, scopes: 1, segments: 1, places: 1, contents: 1, subjects: 1, spools: 1, streams: 1 })
    })

    test('leaves nothing when its function fails after writing to every table', async ({ store }) => {
      const error = new Error('the function failed')
      await assert.rejects(store.append(async (tx) => {
        await fill(tx)
        throw error
      }), error)
      same(Object.values(await store.read((view) => view.counts())).filter((n) => n > 0), [])
      await store.append(fill) // and everything can be written after all
    })

    test('is seen by its own reads and by nobody else before it ends', async ({ store, another }) => {
      const other = await another?.()
      await store.append(async (tx) => {
        await fill(tx)
        assert.equal((await tx.entries(0, 9)).length, 3)
        if (other !== undefined) assert.equal((await other.read((view) => view.entries(0, 9))).length, 0)
      })
      if (other !== undefined) assert.equal((await other.read((view) => view.entries(0, 9))).length, 3)
    })

    for (const [what, code, write] of TAKEN) {
      test(`refuses ${what}, and then leaves nothing of itself`, async ({ store }) => {
        await store.append(fill)
        const before = await everything(store)
        await assert.rejects(store.append(async (tx) => {
          await tx.replaceHead({ size: 99, checkpoint: 'never' })
          await tx.insertEntries([row(50)])
          await write(tx)
        }), (error) => error instanceof StoreError && error.code === code && !error.retry)
        same(await everything(store), before)
      })
    }

    test('commits nothing when a write failed and the function went on', async ({ store }) => {
      await store.append(fill)
      const before = await everything(store)
      const append = store.append(async (tx) => {
        await tx.insertEntries([row(3), row(0)]).catch(() => undefined)
        await tx.replaceHead({ size: 4, checkpoint: 'four' }).catch(() => undefined)
      })
      await assert.rejects(append, StoreError)
      same(await everything(store), before)
    })

    test('takes its turn: appends of one store never mix', async ({ store }) => {
      const ran: string[] = []
      await Promise.all([0, 1, 2, 3].map((i) => store.append(async (tx) => {
        ran.push(`begin ${i}`)
        await tx.insertEntries([row(i)])
        await new Promise((resolve) => { setTimeout(resolve, 2) })
        ran.push(`end ${i}`)
      })))
      assert.deepEqual(ran, [0, 1, 2, 3].flatMap((i) => [`begin ${i}`, `end ${i}`]))
    })

    test('takes its turn: two stores on one log never see the same head', async ({ store, another }) => {
      if (another === undefined) return
      const stores = [store, await another()]
      await Promise.all(stores.flatMap((each) => Array.from({ length: 25 }, () => each.append(async (tx) => {
        const size = (await tx.head())?.size ?? 0
        await tx.insertEntries([row(size)])
        await tx.replaceHead({ size: size + 1, checkpoint: `size ${size + 1}` })
      }))))
      for (const each of stores) {
        same(await each.read((view) => view.head()), { size: 50, checkpoint: 'size 50' })
        assert.deepEqual((await each.read((view) => view.entries(0, 99))).map(({ index }) => index), Array.from({ length: 50 }, (_, i) => i))
      }
    })

    test('refuses calls on its transaction after it ended', async ({ store }) => {
      let escaped: StoreTx | undefined
      await store.append(async (tx) => { escaped = tx })
      await assert.rejects(escaped!.head(), TypeError)
      await assert.rejects(escaped!.insertEntries([row(0)]), TypeError)
      assert.equal((await store.read((view) => view.entries(0, 9))).length, 0)
    })
  })

  describe(`${driver.name}: a read`, () => {
    test('gives entries as texts where each is ASCII, and else not at all', async ({ store }) => {
      await store.append(fill)
      const bytes = await store.read((view) => view.entries(0, 9))
      const texts = (await store.read((view) => view.entryTexts(0, 9))) ?? []
      assert.deepEqual(texts.map(({ index, entry }) => [index, entry]), bytes.map(({ index, entry }) => [index, fromUtf8(entry)]))
      assert.ok(texts.length > 0)
      const plain = (await store.read((view) => view.entries(0, 1)))[0]!.entry
      const odd = [utf8(fromUtf8(plain).replace('"v":1', '"v":1,"x":"é"')), utf8(fromUtf8(plain).replace('"v":1', '"v":1,"x":"\ufffd"'))]
      const next = bytes.length
      for (const [i, entry] of odd.entries()) {
        const json = JSON.parse(fromUtf8(entry)) as { event_id: string; seq: number }
        await store.append((tx) => tx.insertEntries([{ index: next + i, entry: utf8(JSON.stringify({ ...json, event_id: id(next + i, 'event'), seq: next + i })) }]))
        assert.equal(await store.read((view) => view.entryTexts(next + i, next + i + 1)), undefined)
        assert.equal(await store.read((view) => view.entryTexts(0, 99)), undefined)
      }
    })

    test('stays on its snapshot while others append', async ({ store, another }) => {
      if (another === undefined) return
      await store.append((tx) => tx.insertEntries([row(0)]))
      await store.read(async (view) => {
        await store.append((tx) => tx.insertEntries([row(1)]))
        assert.equal((await store.read((later) => later.entries(0, 9))).length, 2)
        assert.equal((await view.entries(0, 9)).length, 1)
        assert.equal((await view.counts())['entries'], 1)
      })
    })

    test('has its snapshot from the beginning, not from its first question', async ({ store, another }) => {
      if (another === undefined) return
      await store.read(async (view) => {
        await store.append((tx) => tx.insertEntries([row(0)]))
        assert.equal((await view.entries(0, 9)).length, 0)
      })
    })

    test('does not keep a failing function from the next one', async ({ store }) => {
      for (let i = 0; i < 20; i++) await assert.rejects(store.read(async () => { throw new Error('no') }), /no/)
      assert.equal(await store.read(async (view) => (await view.entries(0, 1)).length), 0)
    })

    test('gives back entries exactly, by index', async ({ store }) => {
      const odd = [row(7, { facts: { tool_name: 'é\u2028\ud83d\ude00' } }), row(2), row(3)]
      await store.append((tx) => tx.insertEntries(odd))
      same(await store.read((view) => view.entries(0, 100)), [odd[1], odd[2], odd[0]])
      same(await store.read((view) => view.entries(3, 7)), [odd[2]])
      same(await store.read((view) => view.entries(4, 7)), [])
    })

    test('keeps one head', async ({ store }) => {
      assert.equal(await store.read((view) => view.head()), undefined)
      for (const size of [1, 2, 10, 10]) {
        await store.append((tx) => tx.replaceHead({ size, checkpoint: `size ${size}` }))
        same(await store.read((view) => view.head()), { size, checkpoint: `size ${size}` })
        assert.equal((await store.read((view) => view.counts()))['heads'], 1)
      }
    })

    test('pages through a session by seq', async ({ store }) => {
      const rows = Array.from({ length: 10 }, (_, i) => row(i, { session_id: id(i % 2, 'session'), seq: Math.floor(i / 2) }))
      await store.append((tx) => tx.insertEntries(rows.toReversed()))
      const page = (seq: number, limit: number) => store.read((view) => view.sessionEntries(id(1, 'session'), seq, limit))
      same(await page(0, 3), [rows[1], rows[3], rows[5]])
      same(await page(3, 3), [rows[7], rows[9]])
      same(await page(5, 3), [])
    })

    test('finds what sets a session’s constants, newest first, and its last prompt', async ({ store }) => {
      const prompt = { payloads: { system_prompt: { same: 0 } } }
      const types: readonly [string, object?][] = [['session_start', prompt], ['llm_call', prompt], ['config_change'], ['llm_call'], ['reasoning', prompt], ['session_start'], ['llm_call', { payloads: { input: { same: 0 } } }], ['config_change', prompt]]
      const rows = types.flatMap(([event_type, more], seq) => [row(2 * seq, { event_type, seq, ...more }), row(2 * seq + 1, { event_type, seq, session_id: id(1, 'session'), ...more })])
      await store.append((tx) => tx.insertEntries(rows))
      const config = (to: number, limit: number) => store.read((view) => view.configEntries(id(0, 'session'), to, limit))
      same(await config(99, 9), [rows[14], rows[10], rows[4], rows[0]])
      same(await config(10, 2), [rows[10], rows[4]])
      same(await config(9, 9), [rows[4], rows[0]])
      const last = (from: number, to: number) => store.read((view) => view.promptEntry(id(0, 'session'), from, to))
      same([await last(0, 9), await last(0, 6), await last(0, 1), await last(0, 0)], [rows[14], rows[2], rows[2], rows[0]])
      same([await last(2, 6), await last(8, 9)], [undefined, undefined])
    })

    test('finds events of any writer by id', async ({ store }) => {
      const rows = [row(0), row(1), row(2, { event_id: id(0, 'event'), writer: 'other' })]
      await store.append((tx) => tx.insertEntries(rows))
      same(await store.read((view) => view.findEvents([id(1, 'event'), id(9, 'event'), id(0, 'event'), id(0, 'event')])), rows)
      same(await store.read((view) => view.findEvents([])), [])
    })

    test('finds ids by beginning and end, each once', async ({ store }) => {
      const rows = [row(0, { session_id: 'abcd0000-0000-7000-8000-00000000cafe', seq: 0 }), row(1), row(2, { event_id: id(1, 'event'), writer: 'other' })]
      await store.append(async (tx) => {
        await tx.insertEntries(rows)
        await tx.putSessions([session(0, { session_id: 'abcd0000-0000-7000-8000-00000000cafe' }), session(1)])
      })
      const find = async (digits: string, limit = 10) => (await store.read((view) => view.findIds(digits, limit))).map((found) => `${found.kind} ${found.id}`).sort()
      assert.deepEqual(await find('abcd'), ['session abcd0000-0000-7000-8000-00000000cafe'])
      assert.deepEqual(await find('cafe'), ['session abcd0000-0000-7000-8000-00000000cafe'])
      assert.deepEqual(await find(id(1, 'event').slice(-8)), [`event ${id(1, 'event')}`])
      assert.deepEqual(await find(id(1, 'event')), [`event ${id(1, 'event')}`])
      assert.deepEqual(await find('00-7'), []) // in the middle
      assert.equal((await find('0', 3)).length, 3)
      for (const bad of ['', '%', '_', 'ABCD', "'", '0'.repeat(37)]) await assert.rejects(find(bad), TypeError)
    })

    test('filters and pages events', async ({ store }) => {
      const all = Array.from({ length: 40 }, (_, i) => row(i, {
        session_id: id(i % 3, 'session'), seq: Math.floor(i / 3), event_type: ['tool_call', 'tool_result', 'reasoning', 'error'][i % 4]!, timestamp: time((i * 7) % 40),
        facts: i % 4 === 0 ? { tool_name: i % 8 === 0 ? 'refund' : 'lookup' } : {},
      }))
      await store.append((tx) => tx.insertEntries(all))
      const parsed = all.map(({ entry }) => JSON.parse(fromUtf8(entry)) as Fields)
      const filters: Record<string, unknown>[] = [{}]
      const choices: Record<string, unknown[]> = {
        session_id: [id(1, 'session'), id(9, 'session')], event_types: [['reasoning'], ['tool_call', 'error'], ['none'], []], tool_name: ['refund', 'none'],
        since: [time(10)], until: [time(30), time(0)], from: [0, 17, 99],
      }
      for (const [name, values] of Object.entries(choices)) filters.push(...filters.flatMap((filter) => values.map((value) => ({ ...filter, [name]: value }))))
      for (const filter of filters) {
        const expected = all.filter((_, i) => {
          const event = parsed[i]!
          return (filter['session_id'] === undefined || event.session_id === filter['session_id']) && (filter['event_types'] === undefined || (filter['event_types'] as string[]).includes(event.event_type))
            && (filter['tool_name'] === undefined || event.facts['tool_name'] === filter['tool_name']) && (filter['since'] === undefined || event.timestamp >= String(filter['since']))
            && (filter['until'] === undefined || event.timestamp < String(filter['until'])) && i >= Number(filter['from'] ?? 0)
        })
        same(await store.read((view) => view.events({ ...filter, limit: 100 })), expected, JSON.stringify(filter))
        same(await store.read((view) => view.events({ ...filter, limit: 2 })), expected.slice(0, 2), JSON.stringify(filter))
      }
    })

    test('keeps tiles', async ({ store }) => {
      const tiles = [tile(0, 0), tile(0, 1), tile(0, 2), tile(1, 0)]
      await store.append((tx) => tx.insertTiles(tiles))
      same(await store.read((view) => view.tile(0, 1)), tiles[1]!.hashes)
      assert.equal(await store.read((view) => view.tile(2, 0)), undefined)
      same(await store.read((view) => view.tiles(0, 1, 9)), [tiles[1], tiles[2]])
      same(await store.read((view) => view.tiles(0, 0, 2)), [tiles[0], tiles[1]])
      assert.deepEqual(await store.read(async (view) => [await view.tileCount(0), await view.tileCount(1), await view.tileCount(2)]), [3, 1, 0])
    })

    test('lists sessions, newest first', async ({ store }) => {
      const rows = Array.from({ length: 9 }, (_, i) => session(i, { agent_id: i % 2 === 0 ? 'even' : 'odd', state: i % 3 === 0 ? 'open' : 'ended', ...(i % 3 === 0 ? {} : { outcome: 'success' }), started_at: time(Math.floor(i / 2)) }))
      await store.append((tx) => tx.putSessions([rows[4]!, ...rows]))
      const newest = rows.toReversed()
      const list = (filter: object, limit = 99) => store.read((view) => view.listSessions({ ...filter, limit }))
      same(await list({}), newest)
      same(await list({}, 4), newest.slice(0, 4))
      same(await list({ before: { started_at: time(2), session_id: id(5, 'session') } }, 4), newest.slice(4, 8)) // 4 began in the same millisecond
      same(await list({ agent_id: 'odd' }), newest.filter((_, i) => i % 2 === 1))
      same(await list({ agent_id: 'odd', before: { started_at: time(2), session_id: id(5, 'session') } }), [rows[3], rows[1]])
      same(await list({ state: 'open' }), [rows[6], rows[3], rows[0]])
      same(await list({ outcome: 'success', agent_id: 'even' }), [rows[8], rows[4], rows[2]])
      same(await list({ since: time(1), until: time(3) }), [rows[5], rows[4], rows[3], rows[2]])
      same(await store.read((view) => view.sessions([id(3, 'session'), id(99, 'session'), id(1, 'session')])), [rows[3], rows[1]])
    })

    test('gives a session its newest row', async ({ store }) => {
      await store.append((tx) => tx.putSessions([session(0)]))
      await store.append((tx) => tx.putSessions([session(0, { agent_id: 'renamed', state: 'ended', started_at: time(5) })]))
      same(await store.read((view) => view.listSessions({ agent_id: 'renamed', state: 'ended', since: time(5), limit: 9 })), [session(0, { agent_id: 'renamed', state: 'ended', started_at: time(5) })])
      same(await store.read((view) => view.listSessions({ agent_id: 'agent', limit: 9 })), [])
    })
  })

  describe(`${driver.name}: the vault's rows`, () => {
    test('are paged and found', async ({ store }) => {
      const scopes = Array.from({ length: 7 }, (_, i) => scope(i))
      const segments = [1, 2, 3, 4, 5].map((segment) => ({ segment, scope: scopes[segment % 2]!.scope, bytes: bytes(100 + segment, `segment ${segment}`) }))
      const contents = Array.from({ length: 6 }, (_, i) => ({ scope: scopes[i % 2]!.scope, key: bytes(32, `key ${i}`), segment: 1, frame: i, position: 2, frames: 3 }))
      const places = Array.from({ length: 6 }, (_, i) => ({ index: Math.floor(i / 2), ordinal: i % 2, segment: 1, frame: i, position: 0, frames: 1 }))
      await store.append(async (tx) => {
        await tx.insertScopes(scopes)
        await tx.insertSegments(segments)
        await tx.insertContents(contents)
        await tx.insertPlaces(places.toReversed())
        await tx.insertSubjects([{ subject: bytes(32, 'person'), scope: scopes[3]!.scope }, { subject: bytes(32, 'person'), scope: scopes[1]!.scope }])
      })
      await store.read(async (view) => {
        const byScope = scopes.toSorted((a, b) => order(a.scope, b.scope))
        same(await view.scopePage(undefined, 3), byScope.slice(0, 3))
        same(await view.scopePage(byScope[2]!.scope, 99), byScope.slice(3))
        same(await view.scopes([scopes[2]!.session_id, id(99, 'session'), scopes[0]!.session_id]), [scopes[2], scopes[0]])
        same(await view.segment(3), segments[2])
        assert.equal(await view.segment(99), undefined)
        same(await view.segmentPage(0, 2), segments.slice(0, 2))
        same(await view.segmentPage(2, 99), segments.slice(2))
        same(await view.segmentIds([scopes[1]!.scope, scopes[0]!.scope]), segments.map(({ segment, scope }) => ({ segment, scope })))
        same(await view.segmentIds([scopes[1]!.scope, scopes[5]!.scope]), [1, 3, 5].map((segment) => ({ segment, scope: scopes[1]!.scope })))
        const byKey = contents.toSorted((a, b) => order(concat(a.scope, a.key), concat(b.scope, b.key)))
        same(await view.contentPage(undefined, 4), byKey.slice(0, 4))
        same(await view.contentPage(byKey[3], 99), byKey.slice(4))
        same(await view.contents([contents[5]!, contents[0]!, { scope: scopes[1]!.scope, key: contents[0]!.key }]), [contents[5], contents[0]])
        same(await view.places(1, 3), places.slice(2))
        same(await view.subjectScopes(bytes(32, 'person')), [scopes[1]!.scope, scopes[3]!.scope].sort(order))
        same(await view.subjectScopes(bytes(32, 'nobody')), [])
        same(await view.subjects([scopes[3]!.scope, scopes[0]!.scope, scopes[1]!.scope]), [3, 1].map((i) => ({ subject: bytes(32, 'person'), scope: scopes[i]!.scope })))
      })
    })

    test('are wrapped again where they are there', async ({ store }) => {
      await store.append((tx) => tx.insertScopes([scope(0), scope(1)]))
      const again = (i: number, generation: number): ScopeRow => ({ ...scope(i), generation, wrapped: bytes(92, `generation ${generation} of ${i}`) })
      await store.append((tx) => tx.rewrapScopes([again(0, 2), again(7, 2)]))
      same(await store.read((view) => view.scopes([scope(0).session_id, scope(1).session_id, scope(7).session_id])), [again(0, 2), scope(1)])
      await store.append((tx) => tx.rewrapScopes([again(0, 4_000_000_000)]))
      same(await store.read((view) => view.scopes([scope(0).session_id])), [again(0, 4_000_000_000)])
    })

    test('go with their scopes: all five kinds, and nothing of others', async ({ store }) => {
      await store.append(async (tx) => {
        for (const i of [0, 1, 2]) await fillScope(tx, i)
      })
      assert.equal(await store.append((tx) => tx.deleteScopes([scope(0).scope, scope(2).scope, scope(9).scope])), 4)
      await store.read(async (view) => {
        same(await view.scopePage(undefined, 9), [scope(1)])
        same(await view.scopes([scope(0).session_id]), [])
        same((await view.segmentPage(0, 9)).map(({ segment }) => segment), [3, 4])
        same((await view.places(0, 99)).map(({ segment }) => segment), [3, 4])
        same((await view.contentPage(undefined, 9)).map(({ segment }) => segment), [3])
        same(await view.subjectScopes(bytes(32, 'subject 0')), [])
        same(await view.subjects([0, 1, 2].map((i) => scope(i).scope)), [{ subject: bytes(32, 'subject 1'), scope: scope(1).scope }])
        same(await view.subjectScopes(bytes(32, 'subject 1')), [scope(1).scope])
        const { scopes, segments, places, contents, subjects } = await view.counts() as Record<string, number>
        assert.deepEqual([scopes, segments, places, contents, subjects], [1, 2, 2, 1, 1])
      })
      await store.append((tx) => tx.rewrapScopes([{ ...scope(0), generation: 2 }]))
      same(await store.read((view) => view.scopes([scope(0).session_id])), []) // nothing brings one back
    })

    test('are numbered upwards: a segment id is never given twice, not even after erasing the newest', async ({ store, reopen }) => {
      assert.equal(await store.append((tx) => tx.nextSegment()), 1)
      await store.append((tx) => fillScope(tx, 0))
      assert.equal(await store.append((tx) => tx.nextSegment()), 3)
      await store.append((tx) => tx.deleteScopes([scope(0).scope]))
      assert.equal(await ((await reopen?.()) ?? store).append((tx) => tx.nextSegment()), 3)
    })

    test('are gone from every file after a wipe', async ({ store, search }) => {
      if (search === undefined) return
      const secrets = (i: number): Uint8Array[] => [
        scope(i).wrapped.subarray(0, 12), scope(i).wrapped.subarray(80), bytes(32, `subject ${i}`).subarray(0, 12), bytes(32, `subject ${i}`).subarray(20),
      ]
      await store.append(async (tx) => {
        for (let i = 0; i < 40; i++) await fillScope(tx, i)
      })
      const gone = Array.from({ length: 20 }, (_, i) => 2 * i)
      await store.append((tx) => tx.deleteScopes(gone.map((i) => scope(i).scope)))
      assert.notEqual(await store.wipe(), '')
      assert.equal(await search(gone.flatMap(secrets)), 0)
      assert.equal(await search(gone.map((i) => secrets(i + 1)).flat()), 80) // the search does find what is there
    })
  })

  describe(`${driver.name}: spools and streams`, () => {
    test('are put, replaced and deleted', async ({ store }) => {
      const stream = { stream: 'aa', session_id: id(0, 'session'), spool: 's1', owner: '{"pid":1}' }
      await store.append(async (tx) => {
        await tx.putSpool({ spool: 's2', offset: 1 })
        await tx.putSpool({ spool: 's1', offset: 5 })
        await tx.putSpool({ spool: 's1', offset: 7_000_000_000 })
        await tx.putStreams([stream, { ...stream, stream: 'bb' }])
        await tx.putStreams([{ ...stream, owner: '{"pid":2}' }])
      })
      same(await store.read((view) => view.spools()), [{ spool: 's1', offset: 7_000_000_000 }, { spool: 's2', offset: 1 }])
      same(await store.read((view) => view.streams()), [{ ...stream, owner: '{"pid":2}' }, { ...stream, stream: 'bb' }])
      await store.append(async (tx) => {
        await tx.deleteSpool('s1')
        await tx.deleteStreams(['aa', 'zz'])
      })
      same(await store.read((view) => view.spools()), [{ spool: 's2', offset: 1 }])
      same(await store.read((view) => view.streams()), [{ ...stream, stream: 'bb' }])
    })
  })

  describe(`${driver.name}: a store`, () => {
    test('keeps everything when it is opened again', async ({ store, reopen }) => {
      if (reopen === undefined) return
      await store.append(fill)
      const before = await everything(store)
      same(await everything(await reopen()), before)
    })

    test('refuses calls once it is closed, and may be closed twice', async ({ store }) => {
      await store.append(fill)
      await store.close()
      await store.close()
      const closed = (error: unknown): boolean => error instanceof StoreError && error.code === 'closed'
      await assert.rejects(store.read((view) => view.head()), closed)
      await assert.rejects(store.append((tx) => tx.head()), closed)
      await assert.rejects(store.wipe(), closed)
    })

    test('lets what runs finish before it closes', async ({ store }) => {
      const append = store.append(async (tx) => {
        await new Promise((resolve) => { setTimeout(resolve, 20) })
        await tx.insertEntries([row(0)])
        return 'done'
      })
      const closing = store.close()
      assert.equal(await append, 'done')
      await closing
    })

    test('finds nothing wrong with itself', async ({ store }) => {
      await store.append(fill)
      assert.deepEqual(await store.read((view) => view.check()), [])
    })
  })
}

/** What an append must refuse after `fill`. */
const TAKEN: readonly (readonly [what: string, code: string, write: (tx: StoreTx) => Promise<void>])[] = [
  ['an index that is there', 'index_taken', (tx) => tx.insertEntries([row(0, { event_id: id(8, 'event'), seq: 8 })])],
  ['an event of one writer a second time', 'event_taken', (tx) => tx.insertEntries([row(8, { event_id: id(0, 'event') })])],
  ['a seq of one session a second time', 'seq_taken', (tx) => tx.insertEntries([row(8, { seq: 0 })])],
  ['an approval a second time', 'approval_used', (tx) => tx.insertEntries([row(8, { event_type: 'tool_call', facts: { tool_name: 'refund', approval: 1 } })])],
  ['a tile that is there', 'conflict', (tx) => tx.insertTiles([tile(0, 0)])],
  ['a scope that is there', 'conflict', (tx) => tx.insertScopes([{ ...scope(0), k: 9 }])],
  ['a number of a session that a scope has', 'conflict', (tx) => tx.insertScopes([{ ...scope(0), scope: bytes(16, 'another') }])],
  ['a segment that is there', 'conflict', (tx) => tx.insertSegments([{ segment: 1, scope: scope(0).scope, bytes: bytes(1, '') }])],
]

/** One row or more in every table; the third entry is a tool call that uses the approval at seq 1. */
async function fill(tx: StoreTx): Promise<void> {
  await tx.insertEntries([row(0), row(1, { event_type: 'approval_decision', facts: { approval: 1 } }), row(2, { event_type: 'tool_call', facts: { tool_name: 'refund', approval: 1 } })])
  await tx.insertTiles([tile(0, 0)])
  await tx.replaceHead({ size: 3, checkpoint: 'three' })
  await tx.putSessions([session(0)])
  await tx.insertScopes([scope(0)])
  await tx.insertSegments([{ segment: 1, scope: scope(0).scope, bytes: bytes(300, 'segment 1') }])
  await tx.insertPlaces([{ index: 0, ordinal: 0, segment: 1, frame: 0, position: 0, frames: 1 }])
  await tx.insertContents([{ key: bytes(32, 'content'), scope: scope(0).scope, segment: 1, frame: 0, position: 0, frames: 1 }])
  await tx.insertSubjects([{ subject: bytes(32, 'subject'), scope: scope(0).scope }])
  await tx.putSpool({ spool: 'spool', offset: 12 })
  await tx.putStreams([{ stream: 'stream', session_id: id(0, 'session'), spool: 'spool', owner: '{}' }])
}

/** Scope `i` with two segments, a place in each, one content and one subject. */
async function fillScope(tx: StoreTx, i: number): Promise<void> {
  await tx.insertScopes([scope(i)])
  const segments = [2 * i + 1, 2 * i + 2]
  await tx.insertSegments(segments.map((segment) => ({ segment, scope: scope(i).scope, bytes: bytes(6_000, `segment ${segment}`) })))
  await tx.insertPlaces(segments.map((segment) => ({ index: segment, ordinal: 0, segment, frame: 0, position: 0, frames: 1 })))
  await tx.insertContents([{ key: bytes(32, `content ${i}`), scope: scope(i).scope, segment: segments[0]!, frame: 0, position: 0, frames: 1 }])
  await tx.insertSubjects([{ subject: bytes(32, `subject ${i}`), scope: scope(i).scope }])
}

async function everything(store: Store): Promise<unknown[]> {
  return store.read(async (view) => [
    await view.head(), await view.entries(0, 1_000), await view.tiles(0, 0, 1_000), await view.listSessions({ limit: 1_000 }), await view.scopePage(undefined, 1_000), await view.segmentPage(0, 1_000),
    await view.places(0, 1_000), await view.contentPage(undefined, 1_000), await view.subjectScopes(bytes(32, 'subject')), await view.spools(), await view.streams(), await view.counts(),
  ])
}

interface Fields { event_id: string; event_type: string; session_id: string; seq: number; writer: string; timestamp: string; facts: { readonly [name: string]: unknown } }

/** Entry `i`, by default event `i` of session 0 at seq `i`. */
export function row(index: number, fields: Partial<Fields> & { readonly [name: string]: unknown } = {}): EntryRow {
  const given = {
    capture: 'before', event_id: id(index, 'event'), event_type: 'reasoning', facts: {}, payloads: {}, prev: 'A'.repeat(43) + '=', recorded_at: time(index), seq: index,
    session_id: id(0, 'session'), step_number: index, timestamp: time(index), v: 1, writer: 'local', ...fields,
  }
  return { index, entry: utf8(JSON.stringify(given)) }
}

/** The id of event or session `i`; ids ascend with `i` and end differently. */
export function id(i: number, of: 'event' | 'session'): string {
  const digits = i.toString(16).padStart(4, '0')
  return `0190${digits}-${of === 'event' ? '0001' : '0002'}-7000-8000-0000${digits}${of === 'event' ? 'eeee' : '5555'}`
}

/** The time `i` seconds after a fixed one. */
export function time(i: number): string {
  return new Date(Date.UTC(2026, 0, 1) + i * 1000).toISOString()
}

/** `length` bytes that look random and are always the same for `seed`. */
export function bytes(length: number, seed: string): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) => sha256(utf8(`${seed} ${i}`)))
  return concat(...blocks).subarray(0, length)
}

function scope(i: number): ScopeRow {
  return { scope: bytes(16, `scope ${i}`), session_id: id(i, 'session'), k: 0, generation: 1, wrapped: bytes(92, `wrapped ${i}`) }
}

function tile(level: number, n: number): TileRow {
  return { level, n, hashes: bytes(8_192, `tile ${level} ${n}`) }
}

function session(i: number, fields: { readonly [name: string]: string } = {}): { session_id: string; row: string } {
  const state = { agent_id: 'agent', last_at: time(i), session_id: id(i, 'session'), started_at: time(i), state: 'open', ...fields }
  return { session_id: state.session_id, row: JSON.stringify(state) }
}

function order(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

/** Compares values, not prototypes: drivers may hand out rows and byte arrays of their own kind. */
function same(got: unknown, expected: unknown, message?: string): void {
  assert.equal(plain(got), plain(expected), message)
}

function plain(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (each instanceof Uint8Array) return `bytes ${toHex(each)}`
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each
    return Object.fromEntries(Object.entries(each).filter(([, v]) => v !== undefined).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
