// The events that every contender records: an LLM call and its result, 5 KB together, in words from a seeded generator so that they
// compress like text and differ from one another.

/** A call and its result, as an agent would log them. */
export interface Pair {
  readonly call: { provider: string; model_id: string; input_messages: { role: string; content: string }[]; parameters: { max_tokens: number; temperature: number } }
  readonly result: { output_text: string; stop_reason: string; input_tokens: number; output_tokens: number }
}

const WORDS = 'order refund customer policy shipping address invoice return delay please check the status of my parcel and let me know when it will arrive because I need it before Friday thank you agent tool answer amount euro card bank transfer approval manager warehouse stock item number damaged photo letter'.split(' ')

/** `count` pairs of about `bytes` bytes of text each. The same seed gives the same pairs. */
export function pairs(count: number, bytes = 5_000, seed = 1): Pair[] {
  let state = seed
  const random = (): number => ((state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31)
  const text = (length: number): string => {
    let out = ''
    while (out.length < length) out += `${WORDS[Math.floor(random() * WORDS.length)]!}${random() < 0.08 ? ` ${Math.floor(random() * 1e6)}` : ''} `
    return out
  }
  return Array.from({ length: count }, () => ({
    call: {
      provider: 'anthropic', model_id: 'claude-opus-4-6', parameters: { max_tokens: 4096, temperature: 0.2 },
      input_messages: [{ role: 'user', content: text(bytes * 0.3) }, { role: 'assistant', content: text(bytes * 0.2) }, { role: 'user', content: text(bytes * 0.25) }],
    },
    result: { output_text: text(bytes * 0.2), stop_reason: 'end_turn', input_tokens: 1_204, output_tokens: 88 },
  }))
}
