// A conversation that grows by two messages a step, as an agent's does, recorded through a real trail; and what it takes on
// disk, against a logger that writes the whole of `input_messages` at each step.

import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { openTrail, type LLMCall } from '../src/index.ts'

export interface Message { readonly role: 'user' | 'assistant'; readonly content: string }

export interface Grown {
  /** the database after it was closed: one file, everything in it */
  readonly stored: number
  /** `input_messages` as JSON, each time whole */
  readonly full: number
  /** the messages once, as JSON */
  readonly once: number
  /** bytes by table and index */
  readonly parts: { readonly [name: string]: number }
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Text of about `length` characters whose words come as often as words do: the n-th of 4,000 with a weight of 1/n. */
export function writer(seed: number): (length: number) => string {
  const random = seeded(seed)
  const syllables = ['ka', 'ren', 'to', 'mi', 'sel', 'or', 'an', 'de', 'lu', 'ver', 'ing', 'tion', 'er', 'pa', 'st', 'qu', 'bo', 'ly', 'ex', 'um']
  const words = Array.from({ length: 4_000 }, () => Array.from({ length: 1 + Math.floor(random() * 3) }, () => syllables[Math.floor(random() * syllables.length)]).join(''))
  const word = (): string => words[Math.floor(words.length ** random()) - 1]!
  return (length) => {
    let text = ''
    while (text.length < length) {
      const pick = random()
      text += pick < 0.03 ? `${Math.floor(random() * 100_000)} ` : pick < 0.12 ? `${word()}. ` : `${word()} `
    }
    return text.trimEnd()
  }
}

/** The messages after `steps` steps: what the user or a tool said, and the answer, some 1 KB each. */
export function conversation(steps: number, seed: number): Message[] {
  const write = writer(seed)
  return Array.from({ length: 2 * steps }, (_, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content: write(1_000) }))
}

/** Records `steps` model calls and their results in a new trail at `path`, and closes it. */
export async function recordGrowing(path: string, home: string, steps: number, seed: number): Promise<Grown> {
  const all = conversation(steps, seed)
  let full = 0
  const trail = openTrail(path, { home, agent_id: 'grower', model_id: 'm', mask: [] }) // words and numbers by chance may look like a card
  await trail.session({ user_message: all[0]!.content }, (session) => {
    const messages: Message[] = []
    for (let step = 0; step < steps; step++) {
      messages.push(all[2 * step]!)
      full += Buffer.byteLength(JSON.stringify(messages))
      session.record('llm_call', { provider: 'p', model_id: 'm', input_messages: messages })
      session.record('llm_result', { output_text: all[2 * step + 1]!.content, stop_reason: 'end_turn', input_tokens: 250 * messages.length, output_tokens: 250 })
      messages.push(all[2 * step + 1]!)
    }
  })
  await trail.close()
  return { stored: statSync(path).size, full, once: Buffer.byteLength(JSON.stringify(all)), parts: partsOf(path) }
}

/** The inputs of every model call on record, in order. */
export async function readInputs(path: string, home: string): Promise<unknown[]> {
  await using trail = openTrail(path, { home })
  return ((await trail.calls({ event_type: 'llm_call' }).all()) as LLMCall[]).map(({ input_messages }) => input_messages)
}

function partsOf(path: string): { [name: string]: number } {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    const rows = db.prepare('SELECT name, sum(pgsize) AS bytes FROM dbstat GROUP BY name ORDER BY 2 DESC').all() as { name: string; bytes: number }[]
    return Object.fromEntries(rows.map(({ name, bytes }) => [name, bytes]))
  } finally {
    db.close()
  }
}

/** One line for people: what was stored, against what. */
export function report(steps: number, { stored, full, once, parts }: Grown): string {
  const kb = (bytes: number): string => `${Math.round(bytes / 1024)} KB`
  const largest = Object.entries(parts).slice(0, 6).map(([name, bytes]) => `${name} ${kb(bytes)}`).join(', ')
  return `${steps} steps: ${kb(stored)} stored, ${kb(full)} logged in full, the messages once ${kb(once)}: 1/${(full / stored).toFixed(1)} (${largest})\n`
}
