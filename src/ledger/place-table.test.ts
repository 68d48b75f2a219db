import { describe, expect, test } from 'vitest'
import { PlaceTable, type Place } from './place-table.ts'

const keyOf = (n: number): Uint8Array => new Uint8Array(32).fill(n & 255).fill(n >>> 8 & 255, 16)

/** Numbers that come the same each time. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

describe('a table of places', () => {
  test('holds what a map of maps would, as it grows, and gives each place away once', () => {
    const draw = random(20261122)
    const table = new PlaceTable(8)
    const model = new Map<number, { first: number; name: string; places: Map<string, Uint8Array | undefined> }>()
    const odd = [-1, 70_000, 2 ** 40, 0.5, Number.MAX_SAFE_INTEGER]
    const places: Place[] = []
    for (let index = 0; index < 20_000; index++) {
      const frame = draw(40) === 0 ? odd[draw(odd.length)]! : draw(60)
      const place: Place = { segment: draw(30) === 0 ? -draw(1_000) : draw(300), frame, position: draw(4), frames: 1 + draw(2) }
      const [name, key] = [`scope-${draw(20)}/0`, draw(5) === 0 ? undefined : keyOf(index)]
      const known = model.get(place.segment)
      const named = known ?? { first: index, name, places: new Map<string, Uint8Array | undefined>() }
      model.set(place.segment, named)
      named.places.set(`${place.frame}/${place.position}/${place.frames}`, key)
      expect(table.add(place, index, name, key)).toBe(named.name)
      places.push(place)
    }
    expect([...table.segments()]).toEqual([...model.keys()])
    expect(table.left).toBe([...model.values()].reduce((sum, { places }) => sum + places.size, 0))
    for (const [segment, { first, name, places }] of model) expect(table.segment(segment)).toEqual({ first, name, places: places.size })
    let left = table.left
    for (const place of [...places, ...places.map((one) => ({ ...one, position: one.position + 4 })), { ...places[0]!, segment: 5_000 }]) {
      const of = model.get(place.segment)?.places
      const name = `${place.frame}/${place.position}/${place.frames}`
      const [there, key] = [of?.has(name) === true, of?.get(name)]
      expect(table.has(place)).toBe(there)
      expect(table.take(place)).toEqual(there ? (key ?? 'none') : undefined)
      if (of?.delete(name) === true) left--
      expect(table.left).toBe(left)
      expect(table.has(place)).toBe(false)
    }
    expect(left).toBe(0)
  })

  test('keeps apart places of many segments that differ in one part only', () => {
    const table = new PlaceTable()
    const all: Place[] = []
    for (let segment = 0; segment < 64; segment++) for (let frame = 0; frame < 65_536; frame += 4_369) for (let position = 0; position < 4_096; position += 585) for (const frames of [1, 63]) all.push({ segment, frame, position, frames })
    for (const [n, place] of all.entries()) table.add(place, n, 'a/0', keyOf(n))
    expect(table.left).toBe(all.length)
    for (const [n, place] of all.entries()) expect(table.take(place)).toEqual(keyOf(n))
  })
})
