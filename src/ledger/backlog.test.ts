import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StoreError } from '../base/errors.ts'
import { Backlog } from '../spool/backlog.ts'
import { errorData, errorFrom } from './message.ts'

/** A worker in the place of the real one: it drains spools in their order, and removes those that are done and no more written. */
class Model {
  readonly spools: { id: string; events: { size: number; at: number }[]; drained: number; done: number }[] = [{ id: 's0', events: [], drained: 0, done: 0 }]
  get current(): Model['spools'][number] { return this.spools.at(-1)! }
  get waiting(): { size: number; at: number }[] { return this.spools.flatMap(({ events, done }) => events.slice(done)) }
  end = ({ events }: { events: { size: number }[] }): number => events.reduce((sum, { size }) => sum + size, 0)
}

test('bytes and events are those that were taken and not drained, through any order of renewing, draining and starting workers anew', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant('take' as const), size: fc.integer({ min: 1, max: 500 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('drain' as const), size: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), size: fc.integer({ min: 0, max: 400 }) }) },
    fc.record({ do: fc.constantFrom('renew' as const, 'worker' as const), size: fc.constant(0) }),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const model = new Model()
    let clock = 0
    const backlog = new Backlog('s0', [], () => clock)
    let before = new Map<string, number>()
    for (const [i, { do: what, size }] of steps.entries()) {
      const { current } = model
      if (what === 'pass') clock += size
      else if (what === 'take') {
        current.events.push({ size, at: clock })
        backlog.took(model.end(current))
      } else if (what === 'renew') {
        model.spools.push({ id: `s${i + 1}`, events: [], drained: 0, done: 0 })
        backlog.renewed(`s${i + 1}`)
      } else if (what === 'worker') {
        before = new Map(model.spools.map(({ id, done }) => [id, done]))
        backlog.restarted()
      } else {
        for (let left = size; left > 0; left--) {
          const open = model.spools.find(({ events, done }) => done < events.length)
          if (open !== undefined) open.drained += open.events[open.done++]!.size
        }
        const told = (): void => backlog.reached(model.spools.map(({ id, drained, done }) => ({ id, drained, events: done - (before.get(id) ?? 0) })))
        told()
        while (model.spools.length > 1 && model.spools[0]!.done === model.spools[0]!.events.length) model.spools.shift()
        told()
      }
      expect(backlog.bytes).toBe(model.waiting.reduce((sum, each) => sum + each.size, 0))
      expect(backlog.events).toBe(model.waiting.length)
      const oldest = model.waiting[0]
      expect(backlog.oldestMs).toBeGreaterThanOrEqual(oldest === undefined ? 0 : clock - oldest.at)
      expect(backlog.oldestMs).toBeLessThanOrEqual(oldest === undefined ? 0 : clock - oldest.at + 50)
    }
  }))
})

test('a spool that the worker was not told of yet is not taken for one that it removed', () => {
  const backlog = new Backlog('a')
  backlog.took(100)
  backlog.renewed('b')
  backlog.took(50)
  backlog.renewed('c')
  backlog.reached([{ id: 'a', drained: 40, events: 0 }]) // said before it heard of b
  expect([backlog.bytes, backlog.events, backlog.unfinished]).toEqual([110, 2, ['a', 'b']])
  backlog.reached([{ id: 'b', drained: 0, events: 0 }, { id: 'c', drained: 0, events: 0 }]) // a is done
  expect([backlog.bytes, backlog.events, backlog.unfinished]).toEqual([50, 1, ['b']])
  expect([backlog.lost('b'), backlog.bytes, backlog.lost('b')]).toEqual([1, 0, 0])
})

test('what an earlier ledger of the process left counts in bytes', () => {
  const backlog = new Backlog('b', [{ id: 'a', bytes: 300 }])
  expect([backlog.bytes, backlog.events]).toEqual([300, 0])
  backlog.reached([{ id: 'a', drained: 200, events: 4 }, { id: 'b', drained: 0, events: 0 }])
  expect([backlog.bytes, backlog.events]).toEqual([100, 0])
})

test('a file that a disk does not give is told as that, and no defect of ours', () => {
  let thrown: unknown
  try {
    readFileSync('/nowhere/at/all')
  } catch (error) {
    thrown = error
  }
  expect(errorFrom(errorData(thrown))).toMatchObject({ code: 'disk_failed', retry: true, message: expect.stringContaining('/nowhere/at/all') })
  expect(errorFrom(errorData(thrown))).toBeInstanceOf(StoreError)
  expect(errorData(new TypeError('odd'))).toMatchObject({ code: 'internal' })
})
