import { describe, expect, test } from 'vitest'
import { end, ENDINGS, onRecord, upTo } from '../ending.ts'
import { scratch } from '../scratch.ts'

const EVENTS = 5_000

describe(`all of ${EVENTS} events that nobody awaited are on record, once, after`, () => {
  test.each([...Object.keys(ENDINGS), 'the end of the main thread'])('%s, and the process ends as without us', async (name) => {
    const at = scratch()
    const [with_, without] = [await end(name, at.db, at.home, EVENTS), await end(name, '', at.home, 0)]
    expect([with_.code, with_.signal]).toEqual([without.code, without.signal])
    if (name !== 'no memory left' && name !== 'process.abort()') expect(with_.stderr.replaceAll(/main.mts:\d+|\/[^\s]*/g, '')).toEqual(without.stderr.replaceAll(/main.mts:\d+|\/[^\s]*/g, ''))
    expect(await onRecord(at)).toEqual({ numbers: upTo(EVENTS), states: ['interrupted'], whole: true, interrupted: 1 })
    process.stderr.write(`${name}: ${EVENTS} of ${EVENTS} (code ${with_.code}, signal ${with_.signal})\n`)
  })
})
