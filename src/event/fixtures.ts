// Entries and drafts for tests: the smallest right one of each, with what a test wants to say about it.

import type { Draft } from './draft.ts'
import type { Entry, Ref } from './entry.ts'

export const SESSION = '01930000-0000-7000-8000-000000000001'
export const STREAM = '0123456789abcdef0123456789abcdef'

/** A uuid, hash or ref that says `n`. */
export function uuid(n: number): string {
  return `01930000-0000-7000-8000-${n.toString(16).padStart(12, '0')}`
}
export function hash(n: number): string {
  return `${String(n).padStart(42, 'A')}A=`
}
export function ref(n: number, more: Partial<Ref> = {}): Ref {
  return { c: hash(n), m: 'json', ...more }
}

export function entry(seq: number, event_type: string, more: Partial<Entry> = {}): Entry {
  const time = new Date(Date.UTC(2026, 10, 21, 8) + seq * 1000).toISOString()
  return {
    v: 1, index: seq, event_id: uuid(seq), event_type, session_id: SESSION, seq, prev: hash(seq), writer: 'local',
    timestamp: time, recorded_at: time, capture: 'before', facts: {}, payloads: {}, ...more,
  }
}

export function draft(event_type: Draft['event_type'], more: Partial<Draft> = {}): Draft {
  return { event_id: uuid(1), event_type, session_id: SESSION, timestamp: '2026-11-21T08:00:00.000Z', capture: 'before', facts: {}, payloads: {}, ...more }
}
