// `npm run bench`: what recording costs and what is lost, beside others, on the same events in the same run. Prints one page, and keeps
// the figures as JSON, into which parts that are measured by themselves are put together.

import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Contender } from './contender.ts'
import { contenders } from './contenders/all.ts'
import { pythonVersion } from './contenders/classic.ts'
import { page } from './page.ts'
import { allParts, type Options, type Part } from './part.ts'
import { installPeers } from './peers.ts'
import { keepPart, readReading, theseVersions, thisCommit, thisMachine } from './reading.ts'

const USAGE = `npm run bench -- [part…] [options]

  --quick          a few rounds of little: shows that it works, not how fast
  --rounds N       rounds of each part; 5
  --minutes M      no new round after this time, for each part
  --only A,B       these contenders only
  --peers none     only those that need no package; default: all, installed into bench/peers when missing
  --out FILE       where the figures are kept as JSON; bench/reading.json

npm run bench -- page            the page of what was measured before
npm run bench -- keep            puts that page, its plot and its figures into docs/

parts (all of them, when none is named; about 25 minutes):`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false }, rounds: { type: 'string' }, minutes: { type: 'string' }, only: { type: 'string' }, peers: { type: 'string' },
    out: { type: 'string' }, help: { type: 'boolean', default: false },
  },
})

async function main(): Promise<number> {
  const parts = await allParts()
  const out = values.out ?? join(import.meta.dirname, 'reading.json')
  const [verb] = positionals
  if (values.help) return say(`${USAGE}\n${[...parts].map(([name, { about }]) => `  ${name.padEnd(10)} ${about}\n`).join('')}`)
  if (verb === 'page') return say(page(readReading(out), parts))
  const unknown = positionals.filter((name) => !parts.has(name))
  if (unknown.length > 0) throw new RangeError(`bench: expected parts (${[...parts.keys()].join(', ')}), got ${unknown.join(', ')}; --help says what they are`)
  const { taking, absent } = takingPart()
  const rounds = count('rounds') ?? (values.quick ? 1 : 5)
  let failed = 0
  for (const [name, part] of parts) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    failed += await measurePart(name, part, { rounds, quick: values.quick, contenders: taking }, absent, out)
  }
  say(page(readReading(out), parts))
  return failed
}

/** Measures one part and keeps what it has after each round. 1 when it could not go on; the other parts do. */
async function measurePart(name: string, part: Part, options: Omit<Options, 'until'>, absent: { readonly [name: string]: string }, out: string): Promise<number> {
  process.stderr.write(`${name}: ${part.about}\n`)
  const began = performance.now()
  const about = { at: new Date().toISOString(), quick: options.quick, commit: thisCommit(), machine: thisMachine(), versions: theseVersions(), absent }
  const minutes = count('minutes')
  try {
    await part.run({ ...options, until: minutes === undefined ? Number.POSITIVE_INFINITY : began + minutes * 60_000 }, (data, rounds) => {
      keepPart(out, name, { ...about, seconds: (performance.now() - began) / 1_000, rounds, data })
    })
    return 0
  } catch (error) {
    process.stderr.write(`${name} failed: ${(error as Error).stack ?? String(error)}\n`)
    return 1
  }
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

function count(name: 'rounds' | 'minutes'): number | undefined {
  const text = values[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (!(value > 0) || (name === 'rounds' && !Number.isInteger(value))) throw new RangeError(`bench: expected --${name} to be a number above 0, got ${JSON.stringify(text)}`)
  return value
}

function say(text: string): 0 {
  process.stdout.write(text)
  return 0
}

process.exitCode = await main()
