// The reading as one page of text.

import { contenderNamed } from './contenders/all.ts'
import type { CallerData } from './callers.ts'
import type { DurableData } from './parts/durable.ts'
import type { GrowingData } from './parts/growing.ts'
import { keepers } from './keepers.ts'
import type { Part } from './part.ts'
import type { Measured, Reading } from './reading.ts'
import { median, ratio } from './statistics.ts'
import { figure, tableText, type Table } from './table.ts'

export function page(reading: Reading, parts: ReadonlyMap<string, Part>): string {
  const measured = [...parts].flatMap(([name, part]) => (reading.parts[name] === undefined ? [] : [{ name, part, of: reading.parts[name] }]))
  if (measured.length === 0) return 'Nothing was measured yet: npm run bench\n'
  const lines = [...header(measured.map(({ of }) => of)), '']
  for (const { part, of } of measured) lines.push(...(part.show === undefined ? tableText(of.data as Table) : part.show(of.data as never, reading)))
  lines.push(...summary(reading), ...caveats(measured))
  return `${lines.join('\n')}\n`
}

function header(all: readonly Measured[]): string[] {
  const one = <T>(of: (measured: Measured) => T): T[] => [...new Map(all.map((measured) => [JSON.stringify(of(measured)), of(measured)])).values()]
  const versions = Object.assign({}, ...all.map(({ versions }) => versions)) as Measured['versions']
  const days = one(({ at }) => at.slice(0, 10))
  return [
    `Counterfoil's benchmark · ${days.join(', ')} · commit ${one(({ commit }) => commit).join(', ')}`,
    ...one(({ machine }) => machine).map(({ cpu, cores, memory, system, disk }) => `${cores} × ${cpu}, ${memory} GB, ${disk}, ${system} · Node ${versions['node']}, SQLite ${versions['sqlite']}${versions['python'] === undefined ? '' : `, Python ${versions['python']}`}`),
    ...wrapped(Object.entries(versions).filter(([name]) => !['node', 'sqlite', 'python'].includes(name)).map(([name, version]) => `${name} ${version}`)),
    'Medians of rounds, ± half of their range. An act is a call and its result: two events, one span.',
  ]
}

function wrapped(words: readonly string[]): string[] {
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < 96) lines[lines.length - 1] = `${last}, ${word}`
    else lines.push(word)
  }
  return lines
}

/** What we hold ourselves to, from the same run. */
function summary(reading: Reading): string[] {
  const caller = (reading.parts['caller']?.data as CallerData | undefined)?.figures
  const durable = (reading.parts['durable']?.data as DurableData | undefined)?.figures
  const grown = (reading.parts['growing']?.data as GrowingData | undefined)?.figures['counterfoil']
  const kept = keepers(reading)
  const lines: string[] = []
  const ours = caller?.['counterfoil']
  if (ours !== undefined) {
    const against = (name: string): string => {
      const other = caller![name]!
      return `${contenderNamed(name).title} ${figure(ratio(ours.p50, other.p50))}× / ${figure(ratio(ours.p99, other.p99))}×`
    }
    const others = kept === undefined ? [] : [...kept].filter((name) => name !== 'counterfoil' && caller![name] !== undefined)
    if (others.length > 0) lines.push(...wrapped(["counterfoil's caller, p50 / p99, against who keeps all:", ...others.map(against)]).map((line) => line.replace(':,', ':')))
    if (kept === undefined) lines.push('who keeps its events is not known: part "loss" was not measured')
    if (caller!['pino-sync'] !== undefined && !others.includes('pino-sync')) lines.push(`against ${against('pino-sync')}`)
  }
  const mine = durable?.['counterfoil']?.perSecond
  if (mine !== undefined) lines.push(`durable events a second against: ${Object.entries(durable!).filter(([name]) => name !== 'counterfoil').map(([name, { perSecond }]) => `${contenderNamed(name).title} ${figure(ratio(mine, perSecond))}×`).join(', ')}`)
  if (grown !== undefined) lines.push(`growing conversation: 1/${figure(median(grown.smaller))} of the bytes, ${figure(median(grown.stringify))}× one JSON.stringify of each request`)
  return lines.length === 0 ? [] : [...wrappedLines(lines), '']
}

function wrappedLines(lines: readonly string[]): string[] {
  return lines.flatMap((line) => (line.length <= 110 ? [line] : wrapped(line.split(', '))))
}

/** What a reader must know before comparing anything above. */
function caveats(measured: readonly { readonly name: string; readonly of: Measured }[]): string[] {
  const all = measured.map(({ of }) => of)
  const absent = Object.entries(Object.assign({}, ...all.map(({ absent }) => absent)) as Measured['absent'])
  const distinct = (of: (measured: Measured) => unknown): number => new Set(all.map((one) => JSON.stringify(of(one)))).size
  return [
    ...absent.map(([name, why]) => `${contenderNamed(name).title} did not take part: ${why}`),
    `parts: ${measured.map(({ name, of }) => `${name} ${of.at.slice(11, 16)} (${Math.round(of.seconds)} s, ${of.rounds} round${of.rounds === 1 ? '' : 's'})`).join(', ')}`,
    ...(all.some(({ quick }) => quick) ? ['quick: shows that it works, not how fast.'] : []),
    ...(distinct(({ at }) => at.slice(0, 10)) > 1 ? ['parts were measured on different days: compare within a part only.'] : []),
    ...(distinct(({ machine }) => machine) > 1 ? ['parts were measured on different machines: compare within a part only.'] : []),
    ...(distinct(({ commit }) => commit) > 1 ? ['parts were measured at different commits: compare within a part only.'] : []),
  ].flatMap((line) => (line.length <= 110 ? [line] : wrapped(line.split(', '))))
}
