import fc from 'fast-check'
import { expect, test } from 'vitest'
import { StreamTrack } from './stream-track.ts'

test('counts what is missing and what came again, in whatever order events arrive', () => {
  fc.assert(fc.property(fc.array(fc.nat(40)), (order) => {
    const track = new StreamTrack()
    for (const stream_seq of order) track.add(stream_seq)
    const distinct = new Set(order)
    const next = order.length === 0 ? 0 : Math.max(...order) + 1
    expect([track.next, track.missing, track.repeated]).toEqual([next, next - distinct.size, order.length - distinct.size])
  }))
})

test('remembers more than 64 holes', () => {
  const track = new StreamTrack()
  for (let i = 0; i < 200; i += 2) track.add(i)
  expect(track.missing).toBe(99)
})

test('a stream that is all holes, filled from the end, takes no time to speak of', () => {
  const track = new StreamTrack()
  const began = performance.now()
  for (let i = 0; i < 120_000; i += 2) track.add(i)
  for (let i = 119_997; i > 0; i -= 2) track.add(i)
  // looking at each hole from the first one on takes 1.8 thousand million looks
  expect(performance.now() - began).toBeLessThan(4_000)
  expect([track.missing, track.repeated]).toEqual([0, 0])
})
