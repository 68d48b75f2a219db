import { expect, test } from 'vitest'
import { spanId, tracesBytes } from '../../../test/otlp-export.ts'
import { decodeDraft } from '../../event/draft.ts'
import { OtlpIntake, type OtlpSink } from './intake.ts'

test('when the log fails the export that begins a session, the one that waited for it begins it', async () => {
  const intake = new OtlpIntake({ key: new Uint8Array(32), masks: [] })
  const tried: string[][] = []
  let fail: (error: Error) => void = () => {}
  const sink: OtlpSink = {
    sessionsOf: () => Promise.resolve(new Map()),
    append: (drafts) => {
      const types = drafts.map((draft) => decodeDraft(draft).event_type)
      return tried.push(types) === 1 ? new Promise((_resolve, reject) => (fail = reject)) : Promise.resolve(types.map((event_id) => ({ event_id })))
    },
  }
  const first = intake.take('traces', 'protobuf', tracesBytes([{ id: spanId(1), parent: spanId(9) }]), sink)
  while (tried.length === 0) await new Promise(setImmediate)
  const second = intake.take('traces', 'protobuf', tracesBytes([{ id: spanId(2), parent: spanId(9) }]), sink)
  for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate)
  expect(tried).toHaveLength(1) // the second one waits
  fail(new Error('the disk is full'))
  await expect(first).rejects.toThrow('the disk is full')
  expect(await second).toMatchObject({ items: 1, refused: 0 })
  expect(tried).toEqual([['session_start', 'custom', 'custom'], ['session_start', 'custom', 'custom']])
  await intake.take('traces', 'protobuf', tracesBytes([{ id: spanId(3), parent: spanId(9) }]), sink)
  expect(tried[2]).toEqual(['custom'])
})
