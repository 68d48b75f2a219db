// What every contender records: acts, each a call and its result. The text has words as often as prose has them, so that it compresses
// no better than prose, and each act carries its number in both halves, by which it is found again wherever it arrived.

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { seeded, writer } from '../test/growing.ts'

export interface Message { readonly role: string; readonly content: string }
export interface ModelAct {
  readonly kind: 'model'
  readonly call: { readonly provider: string; readonly model_id: string; readonly input_messages: readonly Message[]; readonly parameters: { readonly max_tokens: number; readonly temperature: number } }
  readonly result: { readonly output_text: string; readonly stop_reason: string; readonly input_tokens: number; readonly output_tokens: number }
}
export interface ToolAct {
  readonly kind: 'tool'
  readonly call: { readonly tool_name: string; readonly tool_input: { readonly order_id: string; readonly note: string } }
  readonly result: { readonly outcome: 'success'; readonly tool_output: { readonly status: string; readonly amount: number; readonly text: string } }
}
export type Act = ModelAct | ToolAct

export type LoadName = 'model' | 'tool' | 'context'

/** Bytes of text in the call and in its result. */
const SIZES: { readonly [name in LoadName]: readonly [call: number, result: number] } = { model: [3_900, 900], tool: [280, 560], context: [200_000, 4_000] }

/** `count` acts, numbered from 0; the same seed gives the same ones. */
export function acts(name: LoadName, count: number, seed: number): Act[] {
  const write = writer(seed)
  const random = seeded(seed + 1)
  const text = (length: number): string => flat(write(length))
  const [asked, answered] = SIZES[name]
  return Array.from({ length: count }, (_, i): Act => {
    const [question, answer] = [mark(i, 'asked'), mark(i, 'answered')]
    if (name === 'tool') {
      return {
        kind: 'tool',
        call: { tool_name: 'lookup_order', tool_input: { order_id: `${Math.floor(random() * 1e8)}`, note: flat(`${question} ${text(asked)}`) } },
        result: { outcome: 'success', tool_output: { status: 'returned', amount: Math.floor(random() * 1e5), text: flat(`${answer} ${text(answered)}`) } },
      }
    }
    return modelAct([
      { role: 'user', content: flat(`${question} ${text(asked * 0.4)}`) }, { role: 'assistant', content: text(asked * 0.25) }, { role: 'user', content: text(asked * 0.35) },
    ], flat(`${answer} ${text(answered)}`))
  })
}

export function modelAct(input_messages: readonly Message[], output_text: string): ModelAct {
  return {
    kind: 'model',
    call: { provider: 'anthropic', model_id: 'claude-opus-4-6', input_messages, parameters: { max_tokens: 4096, temperature: 0.2 } },
    result: { output_text, stop_reason: 'end_turn', input_tokens: 1_204, output_tokens: 288 },
  }
}

/** Acts in a file, for every process that needs them. What a parser gives are strings as an agent has them. */
export function writeActs(file: string, all: readonly Act[]): void {
  writeFileSync(file, '')
  for (let i = 0; i < all.length; i += 500) appendFileSync(file, all.slice(i, i + 500).map((act) => `${JSON.stringify(act)}\n`).join(''))
}

export function readActs(file: string): Act[] {
  return readFileSync(file, 'utf8').split('\n').slice(0, -1).map((text) => JSON.parse(text) as Act)
}

/** Strings glued together are flattened by whoever reads them first; an agent's come out of a parser, flat, so nobody here is charged for that. */
export function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

function mark(number: number, half: 'asked' | 'answered'): string {
  return `act_${String(number).padStart(6, '0')}_${half}`
}

/** Which acts are in the text, by half. */
export function findMarks(text: string, found: Marks): void {
  for (const [, number, half] of text.matchAll(/act_(\d{6})_(asked|answered)/g)) found[half as keyof Marks].add(Number(number))
}

export interface Marks { readonly asked: Set<number>; readonly answered: Set<number> }

export function noMarks(): Marks {
  return { asked: new Set(), answered: new Set() }
}

/** How many of the acts 0 to `count` - 1 are there with both halves. */
export function delivered({ asked, answered }: Marks, count: number): number {
  return [...asked].filter((number) => number < count && answered.has(number)).length
}
