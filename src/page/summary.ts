// The head of the page: which session this is, and what sort of file a reader who never heard of us has before him.

import type { OpenedBundle } from '../verify/bundle.ts'
import { element, foreign, type DomNode } from './dom.ts'

/** What stands above the verdict. Nothing in it is more than the record says of itself. */
export function summaryOf({ verdict, entries }: OpenedBundle): DomNode[] {
  const own = entries.filter(({ session_id }) => session_id === verdict.session_id)
  const agent = own.find(({ event_type }) => event_type === 'session_start')?.facts ?? {}
  const name = [agent['agent_id'], agent['agent_version']].filter((text) => typeof text === 'string').join(' ')
  const [first, last] = [own[0]?.timestamp, own.at(-1)?.timestamp]
  const from = first === undefined || last === undefined ? '' : `${moment(first)} to ${moment(last)} UTC`
  const { payloads, withheld, erased } = verdict.counts
  const absent = [withheld > 0 ? `${count(withheld)} withheld` : '', erased > 0 ? `${count(erased)} erased` : ''].filter(Boolean)
  return [
    foreign('p', 'lead', [name, from, plural(own.length, 'event')].filter(Boolean).join(' · ')),
    element('p', '', `This file holds the record of what an AI agent did in one session, a part of a signed log, and what it takes to check that. Of the content of its events, ${payloads === 0 ? 'nothing' : plural(payloads, 'text')} can be read here${absent.length === 0 ? '' : `; ${absent.join(', ')}`}. Your browser checked it just now, from this file alone:`),
    foreign('p', 'soft mono', `session ${verdict.session_id} · log ${verdict.origin}`),
  ]
}

/** `2026-11-21 08:00:02.312` */
export function moment(timestamp: string): string {
  return timestamp.replace('T', ' ').replace(/Z$/, '')
}

export function count(n: number): string {
  return n.toLocaleString('en-US')
}

export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? '' : 's'}`
}
