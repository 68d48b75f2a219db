// A run that others recorded, as the steps that its agent took: what went to the model, what came back, which tools ran. The messages are
// the run's own objects, untouched. The same steps make ViewEvents (view-events.ts) or go through a real trail.

export type Message = { readonly role: string; readonly [field: string]: unknown }

/** `message` is the position in the run's messages of what the step came from. */
export type Step =
  | { readonly type: 'session_start'; readonly message: number; readonly user_message?: string }
  | { readonly type: 'llm_call'; readonly message: number; readonly provider: string; readonly model_id: string; readonly input_messages: readonly Message[] }
  | { readonly type: 'llm_result'; readonly message: number; readonly model_id: string; readonly output_text: string | null; readonly tool_calls_requested: readonly Requested[] }
  | { readonly type: 'tool_call'; readonly message: number; readonly tool_name: string; readonly call_id: string | null; readonly tool_input: unknown }
  | { readonly type: 'tool_result'; readonly message: number; readonly tool_name: string; readonly call_id: string | null; readonly outcome: 'success' | 'failure'; readonly tool_output: string | null; readonly error: string | null }
  | { readonly type: 'final_output'; readonly message: number; readonly output: string }

export interface Requested { readonly name: string; readonly call_id: string | null; readonly input: unknown }

/** A run of one of the three data sets. */
export interface Run { readonly format: 'agentdyn' | 'tau' | 'asb'; readonly name: string; readonly model_id: string; readonly messages: readonly Message[] }

/** What a run's messages say was done, in order. A tool's answer without its call, which some runs have, is left in the messages only. */
export function replaySteps(run: Run): Step[] {
  const steps: Step[] = []
  const first = run.messages.findIndex(({ role }) => role === 'user')
  const user = run.messages[first]
  steps.push({ type: 'session_start', message: Math.max(first, 0), ...(user && { user_message: plainText(user.content) }) })
  let open: Requested[] = []
  for (const [message, said] of run.messages.entries()) {
    if (said.role === 'assistant') {
      const turn = turnOf(run, said)
      const { model_id } = run
      steps.push({ type: 'llm_call', message, provider: PROVIDER[run.format], model_id, input_messages: run.messages.slice(0, message) })
      steps.push({ type: 'llm_result', message, model_id, output_text: turn.text, tool_calls_requested: turn.requested })
      for (const { name, call_id, input } of turn.requested) steps.push({ type: 'tool_call', message, tool_name: name, call_id, tool_input: input })
      for (const result of turn.results) steps.push({ type: 'tool_result', message, ...result })
      open = turn.requested
    } else if (said.role === 'tool') {
      const call = open.find(({ call_id }) => call_id !== null && call_id === said.tool_call_id)
      if (call) steps.push({ type: 'tool_result', message, tool_name: call.name, call_id: call.call_id, ...answerOf(said) })
    }
  }
  const last = run.messages.at(-1)
  if (last?.role === 'assistant' && plainText(last.content) !== '') steps.push({ type: 'final_output', message: run.messages.length - 1, output: plainText(last.content) })
  return steps
}

const PROVIDER = { agentdyn: 'openai', tau: 'openai', asb: 'openai' } as const

type Result = Omit<Extract<Step, { type: 'tool_result' }>, 'type' | 'message'>
interface Turn { readonly text: string | null; readonly requested: Requested[]; readonly results: readonly Result[] }

function turnOf(run: Run, said: Message): Turn {
  if (run.format === 'asb') return asbTurn(plainText(said.content))
  const requested = (Array.isArray(said.tool_calls) ? said.tool_calls : []).map((call: Message) => {
    const call_id = typeof call.id === 'string' ? call.id : null
    if (run.format === 'agentdyn') return { name: String(call.function), call_id, input: call.args }
    const { name, arguments: input } = call.function as { name: string; arguments: string }
    return { name, call_id, input: JSON.parse(input) as unknown }
  })
  return { text: plainText(said.content) || null, requested, results: [] }
}

// These logs hold calls and answers as text inside the assistant's own message: "[Action]: I will call the X with the params as
// None;[Observation]: …". The params are None in all of them.
function asbTurn(text: string): Turn {
  const [action = '', observation] = text.split(';[Observation]: ')
  const names = [...action.matchAll(/I will call the (\S+) with the params as/g)].map((found) => found[1] ?? '')
  const requested = names.map((name) => ({ name, call_id: null, input: {} }))
  const tool_name = names[0]
  const results = tool_name === undefined || observation === undefined ? [] : [{ tool_name, call_id: null, outcome: 'success' as const, tool_output: observation, error: null }]
  return { text: action || null, requested, results }
}

function answerOf(said: Message): Omit<Result, 'tool_name' | 'call_id'> {
  const text = plainText(said.content)
  if (typeof said.error === 'string') return { outcome: 'failure', tool_output: text || null, error: said.error }
  return { outcome: 'success', tool_output: text, error: null }
}

/** The text of a message's content: a string, or blocks with their text under `content` or `text`. */
export function plainText(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map(({ content: inner, text }: Message) => (typeof inner === 'string' ? inner : typeof text === 'string' ? text : '')).join('')
}
