// Recorded traffic of other projects (their licences stand beside it; it is no part of this repository): what they asked
// Anthropic's API and what came back, byte for byte.

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../../../shared/data/runs/provider-http', import.meta.url))

export interface Exchange {
  readonly name: string
  readonly params: { readonly [key: string]: unknown }
  readonly beta: boolean
  readonly stream: boolean
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

/** Why there is nothing to replay; undefined when there is. */
export function missing(): string | undefined {
  if (!existsSync(FOLDER)) return 'the recorded traffic is not on this machine'
  return spawnSync('python3', ['-c', 'import yaml']).status === 0 ? undefined : 'python3 with PyYAML is not on this machine'
}

const CONVERT = `
import base64, glob, json, sys, yaml
for path in sorted(glob.glob(sys.argv[1] + '/**/*.yaml', recursive=True)):
    text = open(path, encoding='utf-8').read()
    if 'api.anthropic.com' not in text: continue
    for exchange in yaml.load(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader))['interactions']:
        request, response = exchange['request'], exchange['response']
        if 'api.anthropic.com' not in request['uri']: continue
        body = response['body']['string']
        print(json.dumps({'path': path, 'uri': request['uri'], 'request': request['body'], 'status': response['status']['code'], 'headers': response['headers'],
            'body': base64.b64encode(body if isinstance(body, bytes) else body.encode()).decode()}))
`

interface Converted { path: string; uri: string; request: string; status: number; headers: Record<string, string[]>; body: string }

const HOP_BY_HOP = new Set(['connection', 'transfer-encoding', 'content-length', 'keep-alive', 'date'])

/** The exchanges of the vcr cassettes: real requests, gzip bodies as they came. */
export function cassettes(): Exchange[] {
  const lines = execFileSync('python3', ['-c', CONVERT, join(FOLDER, 'openllmetry')], { encoding: 'utf8', maxBuffer: 2 ** 28 }).trim().split('\n')
  return lines.map((line, i) => {
    const { path, uri, request, status, headers, body } = JSON.parse(line) as Converted
    const params = JSON.parse(request) as Exchange['params']
    const kept = Object.entries(headers).flatMap(([name, values]) => (HOP_BY_HOP.has(name.toLowerCase()) ? [] : values.map((value) => [name, value] as const)))
    return { name: `${basename(path, '.yaml')} ${i}`, params, beta: uri.includes('beta=true'), stream: params['stream'] === true, status, headers: kept, body: Buffer.from(body, 'base64') }
  })
}

/** The fixtures: answers alone, so the request is made up. A `.chunks.txt` holds the data of a stream's events. */
export function fixtures(): Exchange[] {
  const folder = join(FOLDER, 'vercel-ai/packages/anthropic')
  return globSync(['**/*.json', '**/*.chunks.txt'], { cwd: folder }).sort().map((file) => {
    const text = readFileSync(join(folder, file), 'utf8')
    const stream = file.endsWith('.txt')
    const body = stream ? text.split('\n').filter((line) => line.trim() !== '').map(frame).join('') : text
    return {
      name: basename(relative('.', file)),
      params: { model: 'claude-fixture', max_tokens: 1024, messages: [{ role: 'user', content: 'Go on.' }], ...(stream && { stream }) },
      beta: true,
      stream,
      status: 200,
      headers: [['content-type', stream ? 'text/event-stream; charset=utf-8' : 'application/json'], ['request-id', `req_${file.length}`]],
      body: Buffer.from(body),
    }
  })
}

function frame(line: string): string {
  return `event: ${(JSON.parse(line) as { type: string }).type}\ndata: ${line}\n\n`
}
