// counterfoil sql "SELECT …": the classic view of the events, with their content decrypted.

import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import { Absent } from '../../event/view.ts'
import { withTrail, type Context } from '../context.ts'
import { fitColumns, grey, pad, plural, safeJson, visible, width } from '../terminal.ts'

const SAMPLE = 200 // rows looked at to find the widths of columns

export function sqlCommand(program: Command, context: () => Context): void {
  program.command('sql')
    .description('ask in SQL; the view audit_events has the classic columns, content decrypted')
    .argument('<query>', 'one SELECT statement')
    .option('--csv', 'comma-separated values, for a spreadsheet')
    .option('--full', 'cut nothing to the width of the terminal')
    .addHelpText('after', `
Columns of audit_events: event_id, session_id, agent_id, timestamp, event_type,
step_number, content, model_id, system_prompt_hash, created_at. Content is JSON.

Examples:
  $ counterfoil sql "SELECT event_type, count(*) FROM audit_events GROUP BY 1"
  $ counterfoil sql "SELECT timestamp, json_extract(content, '$.error') FROM audit_events
      WHERE json_extract(content, '$.outcome') = 'failure'"`)
    .action(async (query: string, { csv, full }: { csv?: true; full?: true }) => {
      const ctx = context()
      if (csv && ctx.json) throw new MisuseError('two_formats', 'cli: expected --csv or --json, got both', 'leave one of them out')
      await withTrail(ctx, 'read', async (trail) => {
        const { columns, rows } = await trail.sql(query)
        if (ctx.json) await printJson(ctx, columns, rows)
        else if (csv) await printCsv(ctx, columns, rows)
        else await printTable(ctx, columns, rows, full ? Infinity : ctx.screen.columns)
      })
    })
}

type Rows = AsyncIterable<readonly unknown[]> | Iterable<readonly unknown[]>

async function printJson({ screen }: Context, columns: readonly string[], rows: Rows): Promise<void> {
  for await (const row of rows) {
    screen.json(Object.fromEntries(columns.map((name, i) => [name, row[i]])))
    await screen.drain()
  }
}

async function printCsv({ screen }: Context, columns: readonly string[], rows: Rows): Promise<void> {
  screen.text(columns.map(csvCell).join(','))
  for await (const row of rows) {
    screen.text(row.map(csvCell).join(','))
    await screen.drain()
  }
}

/** A cell that no spreadsheet takes for a formula and no reader for two rows: what could begin one gets a `'`, controls are written out. */
export function csvCell(value: unknown): string {
  const text = visible(cellText(value))
  const safe = typeof value !== 'number' && typeof value !== 'bigint' && /^[=+\-@]/.test(text) ? `'${text}` : text
  return /[",]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

async function printTable({ screen }: Context, columns: readonly string[], rows: Rows, room: number): Promise<void> {
  const sample: string[][] = []
  let widths: number[] | undefined
  let count = 0
  const begin = (): void => {
    widths = fitColumns(columns.map((name, i) => Math.max(width(visible(name)), ...sample.map((row) => width(row[i]!)))), room)
    screen.line(grey(widths.map((columnWidth, i) => pad(columns[i]!, columnWidth)).join('  ').trimEnd()))
    for (const row of sample) print(row)
  }
  const print = (row: readonly string[]): void => screen.line(row.map((cell, i) => pad(cell, widths![i]!)).join('  ').trimEnd())
  for await (const row of rows) {
    count++
    const cells = columns.map((_, i) => visible(cellText(row[i])))
    if (widths === undefined) {
      sample.push(cells)
      if (sample.length === SAMPLE) begin()
    } else {
      print(cells)
    }
    await screen.drain()
  }
  if (widths === undefined) begin()
  screen.line(grey(plural(count, 'row')))
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return value
  if (value instanceof Absent) return safeJson(value)
  if (value instanceof Uint8Array) return `<${plural(value.length, 'byte')}>`
  return typeof value === 'number' || typeof value === 'bigint' ? value.toString() : safeJson(value)
}
