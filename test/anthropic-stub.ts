// An HTTP server that answers as a model provider's messages endpoint would, so that programs of ours which use the SDK
// run unchanged and offline: ANTHROPIC_BASE_URL points them here. It asks for the first tool once, then says goodbye.

import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

type Request = { model: string; tools?: { name: string; input_schema: { properties?: Record<string, { type?: string }> } }[]; messages: { role: string; content: unknown }[] }

/** A running stub: the environment that leads a program to it, and how many requests it has answered. */
export type AnthropicStub = AsyncDisposable & { env: Record<string, string>; answered: () => number }

/** Starts a stub on a free port of this machine. */
export async function startAnthropicStub(): Promise<AnthropicStub> {
  let answered = 0
  const server = createServer((request, response) => {
    void readJson(request).then((body) => {
      answered += 1
      response.writeHead(200, { 'content-type': 'application/json', 'request-id': `req_${answered}` })
      response.end(JSON.stringify(answer(body, answered)))
    }, () => response.writeHead(400).end())
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  return {
    env: { ANTHROPIC_BASE_URL: `http://127.0.0.1:${port}`, ANTHROPIC_API_KEY: 'stub' },
    answered: () => answered,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => { server.close(resolve) })
    },
  }
}

async function readJson(request: IncomingMessage): Promise<Request> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return JSON.parse(text)
}

function answer({ model, tools, messages }: Request, count: number): object {
  const tool = JSON.stringify(messages).includes('tool_result') ? undefined : tools?.[0]
  const content = tool
    ? [{ type: 'text', text: 'I refund the order.' }, { type: 'tool_use', id: `toolu_${count}`, name: tool.name, input: inputFor(tool) }]
    : [{ type: 'text', text: 'Your refund of 42 € is on its way.' }]
  return {
    id: `msg_${count}`, type: 'message', role: 'assistant', model, content,
    stop_reason: tool ? 'tool_use' : 'end_turn', stop_sequence: null, usage: { input_tokens: 1204, output_tokens: 88 },
  }
}

function inputFor({ input_schema }: NonNullable<Request['tools']>[number]): object {
  return Object.fromEntries(Object.entries(input_schema.properties ?? {}).map(([name, { type }]) => [name, type === 'number' ? 42 : '1182']))
}
