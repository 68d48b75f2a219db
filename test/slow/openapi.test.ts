// Schemathesis, a generator of requests over the OpenAPI document, against a server with the demo's trail: no 5xx, every answer as the document says, no
// route without its key. From PyPI: `pip install schemathesis`. EXAMPLES says how many requests are made for each operation.

import { execFile, spawnSync, type ExecFileException } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { serveAll } from '../../src/cli/demo/served.ts'
import { openTrail } from '../../src/index.ts'

const EXAMPLES = process.env['EXAMPLES'] ?? '10'
const CHECKS = 'not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,ignored_auth,unsupported_method,missing_required_header'
const missing = spawnSync('schemathesis', ['--version']).status === 0 ? undefined : 'there is no schemathesis on the PATH: pip install schemathesis'

/** How to write bodies of our own media types. */
const HOOKS = `
import json
import schemathesis

@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json.dumps(value).encode()

@schemathesis.serializer("application/vnd.counterfoil.drafts")
def drafts(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
`

describe('the OpenAPI document', () => {
  // what takes away comes last: the key itself may be among it
  test.skipIf(missing !== undefined).each([['all that does not take away', ['--exclude-method', 'DELETE']], ['what takes away', ['--include-method', 'DELETE']]])(`and the server say the same of ${missing === undefined ? '%s' : `%s (${missing})`}`, async (_what, which) => {
    const folder = mkdtempSync(join(tmpdir(), 'counterfoil-openapi-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
    const [path, home] = [join(folder, 'audit.db'), join(folder, 'home')]
    const trail = openTrail(path, { agent_id: 'agent-1', home })
    await trail.session({ user_id: 'u-1', user_message: 'hello' }, async (session) => {
      session.record('reasoning', { text: 'because' })
      session.record('tool_call', { tool_name: 'pay', tool_input: { amount: 1 }, risk: 'high' })
    })
    await trail.close()
    const reported: unknown[] = []
    const served = await serveAll({ trail: path, home, port: 0, report: (problem) => reported.push(problem) })
    onTestFinished(() => served.close())
    writeFileSync(join(folder, 'hooks.py'), HOOKS)
    const args = ['run', `${served.url}/openapi.json`, '-H', `Authorization: Bearer ${served.key}`, '--checks', CHECKS, '--max-examples', EXAMPLES, '--workers', '1', '--request-timeout', '60', '--no-color', '--report-dir', join(folder, 'report'), ...which]
    const { code, out } = await new Promise<{ code: number; out: string }>((resolve) => {
      execFile('schemathesis', args, { cwd: folder, env: { ...process.env, SCHEMATHESIS_HOOKS: 'hooks', PYTHONPATH: folder }, maxBuffer: 64 * 1024 * 1024 }, (error: ExecFileException | null, stdout, stderr) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out: stdout + stderr }))
    })
    expect(out).toMatch(/[1-9]\d* generated/) // it did ask something
    expect(code, out.slice(-20_000)).toBe(0)
    expect(reported).toEqual([])
    const { ledger } = served.parts.tenants.open('default')!
    expect(await ledger.call('verify')).toMatchObject({ whole: true })
  })
})
