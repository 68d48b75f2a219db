// The model that the README's quick start talks to here: it asks for the first tool it is given, once, and then says
// goodbye. ANTHROPIC_BASE_URL leads the SDK to it, so that the program runs unchanged and offline.

import { startModelServer, type MessageReply, type ModelRequest } from '../src/cli/model-server.ts'

/** A running model, and the environment that leads a program to it. */
export type QuickStartModel = AsyncDisposable & { env: Record<string, string> }

/** Starts the model on a free port of this machine. */
export async function startQuickStartModel(): Promise<QuickStartModel> {
  const server = await startModelServer(reply)
  return { env: { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: 'none' }, [Symbol.asyncDispose]: () => server.close() }
}

type Tool = { name: string; input_schema: { properties?: Record<string, { type?: string }> } }

function reply({ body, messages }: ModelRequest): MessageReply {
  const [tool] = (body['tools'] ?? []) as readonly Tool[]
  if (!tool || JSON.stringify(messages).includes('tool_result')) return { content: [{ type: 'text', text: 'Your refund of 42 € is on its way.' }] }
  return { content: [{ type: 'text', text: 'I refund the order.' }, { type: 'tool_use', id: 'toolu_1', name: tool.name, input: inputFor(tool) }] }
}

function inputFor({ input_schema }: Tool): object {
  return Object.fromEntries(Object.entries(input_schema.properties ?? {}).map(([name, { type }]) => [name, type === 'number' ? 42 : '1182']))
}
