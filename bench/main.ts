// `npm run bench`: what recording costs and what is lost, beside others, on the same events in the same run. Prints one page, and keeps
// the figures as JSON, into which parts that are measured by themselves are put together.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { CallerData } from './callers.ts'
import type { Contender } from './contender.ts'
import { contenderNamed, contenders } from './contenders/all.ts'
import { pythonVersion } from './contenders/classic.ts'
import type { LossData } from './losses.ts'
import { page } from './page.ts'
import { allParts, type Options, type Part } from './part.ts'
import { installPeers } from './peers.ts'
import { callerPlot } from './plot.ts'
import { keepPart, readReading, theseVersions, thisCommit, thisMachine, type Reading } from './measured.ts'
import { clearAwayAtEnd } from './run.ts'
import { soakPlot } from './soak-plot.ts'

const USAGE = `npm run bench -- [part…] [options]

  --quick          a few rounds of little: shows that it works, not how fast
  --rounds N       rounds of each part; 5
  --minutes M      no new round of a part after this time; of the soak, how long it takes
  --only A,B       these contenders only
  --peers none     only those that need no package; default: all, installed into bench/peers when missing
  --rate R         of the soak: acts a second; half of what is measured before
  --out FILE       where the figures are kept as JSON; bench/measured.json

npm run bench -- page            the page of what was measured before
npm run bench -- keep            puts that page, its plots and its figures into docs/

parts (all of them, when none is named; about 25 minutes):`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false }, rounds: { type: 'string' }, minutes: { type: 'string' }, only: { type: 'string' }, peers: { type: 'string' },
    out: { type: 'string' }, rate: { type: 'string' }, help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  const parts = await allParts()
  const out = values.out ?? join(import.meta.dirname, 'measured.json')
  const [verb] = positionals
  if (values.help) return say(`${USAGE}\n${[...parts].map(([name, { about }]) => `  ${name.padEnd(10)} ${about}\n`).join('')}`)
  if (verb === 'page') return say(page(readReading(out), parts))
  if (verb === 'keep') return keepReading(readReading(out), parts)
  const unknown = positionals.filter((name) => !parts.has(name))
  if (unknown.length > 0) throw new RangeError(`bench: expected parts (${[...parts.keys()].join(', ')}), got ${unknown.join(', ')}; --help says what they are`)
  const { taking, absent } = takingPart()
  const rounds = count('rounds') ?? (values.quick ? 1 : 5)
  let failed = 0
  for (const [name, part] of parts) {
    if (positionals.length > 0 ? !positionals.includes(name) : part.alone) continue
    failed += await measurePart(name, part, { rounds, quick: values.quick, contenders: taking }, absent, out)
  }
  say(page(readReading(out), parts))
  return failed === 0 ? 0 : 1
}

/** Measures one part and keeps what it has after each round. How much of it failed that needs nobody else's package; the rest goes on. */
async function measurePart(name: string, part: Part, options: Omit<Options, 'until'>, absent: { readonly [name: string]: string }, out: string): Promise<number> {
  process.stderr.write(`${name}: ${part.about}\n`)
  const began = performance.now()
  const about = { at: new Date().toISOString(), quick: options.quick, commit: thisCommit(), machine: thisMachine(), versions: theseVersions(), absent }
  const [minutes, rate] = [count('minutes'), count('rate')]
  let last: unknown
  try {
    await part.run({ ...options, ...(minutes === undefined ? {} : { minutes }), ...(rate === undefined ? {} : { rate }), until: minutes === undefined ? Number.POSITIVE_INFINITY : began + minutes * 60_000 }, (data, rounds) => {
      last = data
      keepPart(out, name, { ...about, seconds: (performance.now() - began) / 1_000, rounds, data })
    })
    const failures = ownFailures(last)
    for (const failure of failures) process.stderr.write(`${name} failed: ${failure}\n`)
    return failures.length
  } catch (error) {
    process.stderr.write(`${name} failed: ${(error as Error).stack ?? String(error)}\n`)
    return 1
  }
}

/** A peer that fails is a result. What needs no package must run, and we must lose nothing. */
function ownFailures(data: unknown): string[] {
  const { failures = {}, cells = [] } = (data ?? {}) as Partial<CallerData & LossData>
  return [
    ...Object.entries(failures).filter(([name]) => contenderNamed(name).packages === undefined).map((entry) => entry.join(': ')),
    ...cells.filter(({ contender, why }) => why !== undefined && contenderNamed(contender).packages === undefined).map(({ contender, ending, why }) => `${contender}, ${ending}: ${why}`),
    ...cells.filter(({ contender, why, delivered, issued, whole }) => contender === 'counterfoil' && why === undefined && (delivered < issued || whole === false))
      .map(({ pace, ending, delivered, issued, whole }) => `counterfoil, ${pace}, ${ending}: ${delivered} of ${issued} on record${whole === false ? ', which does not verify' : ''}`),
  ]
}

function takingPart(): { taking: Contender[]; absent: { [name: string]: string } } {
  const absent: { [name: string]: string } = {}
  const asked = values.only === undefined ? contenders : contenders.filter(({ name }) => values.only!.split(',').includes(name))
  if (asked.length === 0) throw new RangeError(`bench: expected --only to name contenders (${contenders.map(({ name }) => name).join(', ')}), got ${values.only}`)
  const needed = asked.some(({ packages }) => packages !== undefined)
  const noPeers = !needed ? undefined : values.peers === 'none' ? 'not asked for (--peers none)' : installPeers()
  const noPython = pythonVersion() === undefined ? 'there is no python3 here' : undefined
  const taking = asked.filter(({ name, packages, program }) => {
    const why = (packages === undefined ? undefined : noPeers) ?? (program === undefined ? undefined : noPython)
    if (why !== undefined) absent[name] = why
    return why === undefined
  })
  return { taking, absent }
}

function count(name: 'rounds' | 'minutes' | 'rate'): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (!(value > 0) || (name === 'rounds' && !Number.isInteger(value))) throw new RangeError(`bench: expected --${name} to be a number above 0, got ${JSON.stringify(text)}`)
  return value
}

/** Into docs/: the page between its marks, the plots, and the figures that they were made of. */
function keepReading(reading: Reading, parts: ReadonlyMap<string, Part>): 0 {
  const docs = join(import.meta.dirname, '../docs')
  const file = join(docs, 'benchmarks.md')
  const text = readFileSync(file, 'utf8')
  const [begin, end] = ['<!-- reading -->\n', '<!-- /reading -->']
  const [before, after] = [text.indexOf(begin), text.indexOf(end)]
  if (before === -1 || after < before) throw new RangeError(`bench: expected ${begin.trim()} and ${end} in ${file}; put them where the page shall stand`)
  const plots = ([['benchmarks.svg', 'What the caller waits for, by contender', callerPlot(reading)], ['soak.svg', 'The soak over time', soakPlot(reading)]] as const).filter(([, , plot]) => plot !== undefined)
  const pictures = plots.map(([name, says]) => `![${says}](${name})\n\n`).join('')
  writeFileSync(file, `${text.slice(0, before + begin.length)}\n${pictures}\`\`\`\n${page(reading, parts)}\`\`\`\n\n${text.slice(after)}`)
  writeFileSync(join(docs, 'benchmarks.json'), `${JSON.stringify(reading)}\n`)
  for (const [name, , plot] of plots) writeFileSync(join(docs, name), plot!)
  return say(`docs/benchmarks.md, .json and the plots are those of ${Object.keys(reading.parts).length} parts\n`)
}

function say(text: string): 0 {
  process.stdout.write(text)
  return 0
}

clearAwayAtEnd()
process.exitCode = await main()
