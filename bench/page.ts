// The reading as one page of text.

import type { CallerData } from './callers.ts'
import { contenderNamed } from './contenders/all.ts'
import { keeping } from './keepers.ts'
import type { Part } from './part.ts'
import type { DurableData } from './parts/durable.ts'
import type { GrowingData } from './parts/growing.ts'
import type { Measured, Reading } from './measured.ts'
import { median, ratio } from './statistics.ts'
import { figure, tableText, type Table } from './table.ts'

const WIDTH = 110

export function page(reading: Reading, parts: ReadonlyMap<string, Part>): string {
  const measured = [...parts].flatMap(([name, part]) => (reading.parts[name] === undefined ? [] : [{ name, part, of: reading.parts[name] }]))
  if (measured.length === 0) return 'Nothing was measured yet: npm run bench\n'
  const lines = [...header(measured.map(({ of }) => of)), '']
  for (const { part, of } of measured) lines.push(...(part.show === undefined ? tableText(of.data as Table) : part.show(of.data as never, reading)))
  lines.push(...summary(reading), ...caveats(measured))
  return `${lines.join('\n')}\n`
}

function header(all: readonly Measured[]): string[] {
  const versions = Object.assign({}, ...all.map((measured) => measured.versions)) as Measured['versions']
  const { node, sqlite, python, ...peers } = versions
  const took = new Set(all.flatMap(({ data }) => Object.keys((data as Partial<CallerData>).figures ?? {})).flatMap((name) => contenderNamed(name).packages ?? []))
  return [
    `Counterfoil's benchmark · ${distinct(all, ({ at }) => at.slice(0, 10)).join(', ')} · commit ${distinct(all, ({ commit }) => commit).join(', ')}`,
    ...distinct(all, ({ machine }) => machine).map(({ cpu, cores, memory, system, disk }) => `${cores} × ${cpu}, ${memory} GB, ${disk}, ${system}`),
    ...list('', [`Node ${node}`, `SQLite ${sqlite}`, ...(python === undefined ? [] : [`Python ${python}`]), ...Object.entries(peers).filter(([name]) => took.has(name)).map((entry) => entry.join(' '))]),
    'Medians of rounds, ± half of their range. An act is a call and its result: two events.',
  ]
}

/** What we hold ourselves to, as ratios within rounds. */
function summary(reading: Reading): string[] {
  const { caller: asked, durable: fsynced, growing } = reading.parts
  const caller = (asked?.data as CallerData | undefined)?.figures
  const durable = (fsynced?.data as DurableData | undefined)?.figures
  const grown = (growing?.data as GrowingData | undefined)?.figures['counterfoil']
  const kept = keeping(reading)
  const lines: string[] = []
  const ours = caller?.['counterfoil']
  if (ours !== undefined) {
    const against = (name: string): string => `${contenderNamed(name).title} ${figure(ratio(ours.p50, caller![name]!.p50))}× and ${figure(ratio(ours.p99, caller![name]!.p99))}×`
    const others = Object.keys(caller!).filter((name) => name !== 'counterfoil' && contenderNamed(name).kind !== 'neither')
    const keeping = others.filter((name) => kept?.get(name) === 'all')
    const losing = others.filter((name) => kept?.get(name) === 'loses')
    if (kept === undefined) lines.push('Who keeps its events is not known: part loss was not measured.')
    if (keeping.length > 0) lines.push(...list('counterfoil\'s caller, p50 and p99, against who keeps everything: ', keeping.map(against)))
    if (losing.length > 0) lines.push(...list('and against who loses some: ', losing.map(against)))
  }
  const mine = durable?.['counterfoil']?.perSecond
  if (mine !== undefined) lines.push(...list('Its durable events a second, against: ', Object.entries(durable!).filter(([name]) => name !== 'counterfoil').map(([name, { perSecond }]) => `${contenderNamed(name).title} ${figure(ratio(mine, perSecond))}×`)))
  if (grown !== undefined) lines.push(`A growing conversation: 1/${figure(median(grown.smaller))} of the bytes; ${figure(median(grown.stringify))}× one JSON.stringify of each request.`)
  return lines.length === 0 ? [] : [...lines, '']
}

/** What a reader must know before comparing anything above. */
function caveats(measured: readonly { readonly name: string; readonly of: Measured }[]): string[] {
  const all = measured.map(({ of }) => of)
  const absent = Object.entries(Object.assign({}, ...all.map((one) => one.absent)) as Measured['absent'])
  const differing: readonly (readonly [how: string, of: (one: Measured) => unknown])[] = [['on different days', ({ at }) => at.slice(0, 10)], ['on different machines', ({ machine }) => machine], ['at different commits', ({ commit }) => commit]]
  const apart = differing.filter(([, of]) => distinct(all, of).length > 1).map(([how]) => how)
  return [
    ...distinct(absent, ([, why]) => why).flatMap((why) => list(`Did not take part (${why}): `, absent.filter(([, reason]) => reason === why).map(([name]) => contenderNamed(name).title))),
    ...list('Measured: ', measured.map(({ name, of }) => `${name} ${of.at.slice(11, 16)} (${Math.round(of.seconds)} s, ${of.rounds} round${of.rounds === 1 ? '' : 's'})`)),
    ...(all.some(({ quick }) => quick) ? ['Quick: shows that it works, not how fast.'] : []),
    ...(apart.length === 0 ? [] : [`Parts were measured ${apart.join(', ')}: compare within a part only.`]),
  ]
}

/** Items after a heading, on as many lines as they need. */
function list(head: string, items: readonly string[]): string[] {
  const lines = [head]
  for (const [i, item] of items.entries()) {
    const text = i === items.length - 1 ? item : `${item}, `
    if (lines.at(-1)!.length + text.length > WIDTH) lines.push('  ')
    lines[lines.length - 1] += text
  }
  return lines.map((line) => line.trimEnd())
}

function distinct<A, B>(all: readonly A[], of: (one: A) => B): B[] {
  return [...new Map(all.map((one) => [JSON.stringify(of(one)), of(one)])).values()]
}
