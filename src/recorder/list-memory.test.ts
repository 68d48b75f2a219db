import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Piece } from '../event/model-call.ts'
import { ListMemory } from './list-memory.ts'

/** A memory beside everything that was ever told to it. */
class Told {
  readonly memory = new ListMemory()
  readonly lists = new Map<string, { readonly pieces: readonly Piece[]; readonly owners: readonly string[] | undefined }>()

  record(pieces: readonly Piece[], owners?: readonly string[], count = pieces.length): void {
    const event_id = `e${this.lists.size}`
    this.memory.remember(pieces, owners, event_id, this.memory.find(pieces, owners), count)
    this.lists.set(event_id, { pieces: pieces.slice(0, count), owners })
  }

  /** How much of `pieces` some list begins with, element by element. */
  longest(pieces: readonly Piece[], owners?: readonly string[]): number {
    return Math.max(0, ...[...this.lists.values()].map((told) => sameFront(told, { pieces, owners })))
  }

  /** How much is found; NaN where the event that it names does not have that much. */
  found(pieces: readonly Piece[], owners?: readonly string[]): number {
    const prefix = this.memory.find(pieces, owners)
    if (prefix === undefined) return 0
    const { event_id } = prefix.list[prefix.keep - 1]!
    return sameFront(this.lists.get(event_id)!, { pieces, owners }) < prefix.keep ? Number.NaN : prefix.keep
  }
}

interface Some { readonly pieces: readonly Piece[]; readonly owners: readonly string[] | undefined }

function sameFront(a: Some, b: Some): number {
  let i = 0
  const text = ({ content }: Piece): string => (typeof content === 'string' ? `s${content}` : `b${content.join()}`)
  while (i < a.pieces.length && i < b.pieces.length && a.pieces[i]!.m === b.pieces[i]!.m && text(a.pieces[i]!) === text(b.pieces[i]!) && (a.owners?.[i] ?? '') === (b.owners?.[i] ?? '')) i++
  return i
}

const piece = (content: string | Uint8Array, m: Piece['m'] = 'json'): Piece => ({ m, content })
const listOf = (text: string): Piece[] => text.split('').map((letter) => piece(letter))

describe('a memory of lists', () => {
  test('finds the longest front of everything that it was told, and an event that has it', () => {
    const content = fc.oneof(fc.constantFrom('a', 'b', 'ab', 'ba', '1/', '/1', ''), fc.constantFrom('a', 'b').map((letter) => new TextEncoder().encode(letter)))
    const one = fc.record({ m: fc.constantFrom('json' as const, 'text' as const, 'bytes' as const), content })
    const whose = fc.option(fc.array(fc.constantFrom('', '-', 'f'.repeat(32)), { maxLength: 4 }), { nil: undefined })
    fc.assert(fc.property(fc.array(fc.tuple(fc.array(one, { maxLength: 4 }), whose, fc.nat(4)), { maxLength: 12 }), (lists) => {
      const told = new Told()
      for (const [pieces, owners, count] of lists) {
        expect(told.found(pieces, owners)).toBe(told.longest(pieces, owners))
        told.record(pieces, owners, Math.min(count, pieces.length))
      }
      for (const [pieces, owners] of lists) expect(told.found(pieces, owners)).toBe(told.longest(pieces, owners))
    }), { numRuns: 500 })
  })

  test('compares bytes that are changed in place after they were told', () => {
    const told = new ListMemory()
    const bytes = new Uint8Array([1, 2, 3])
    told.remember([piece(bytes, 'bytes')], undefined, 'e0', undefined)
    expect(told.find([piece(bytes, 'bytes')])).toMatchObject({ keep: 1 })
    bytes[1] = 9
    expect(told.find([piece(bytes, 'bytes')])).toBeUndefined()
    expect(told.find([piece(new Uint8Array([1, 2, 3]), 'bytes')])).toMatchObject({ keep: 1 })
  })

  test('goes on finding lists whose characters it gave up for others', () => {
    const told = new Told()
    const big = (letter: string): Piece[] => [piece(letter.repeat(2_000_000)), piece(`${letter}!`.repeat(1_000_000)), piece('end')]
    const letters = 'abcdefghijkl' // 48 million characters, of which 16 are held
    for (const letter of letters) told.record(big(letter))
    for (const letter of letters) {
      expect(told.found(big(letter))).toBe(3)
      expect(told.found([...big(letter).slice(0, 2), piece('other')])).toBe(2)
      expect(told.found([big(letter)[0]!, piece(`${letter}?`.repeat(1_000_000))])).toBe(1)
      expect(told.found([piece(`${letter.repeat(1_999_999)}.`)])).toBe(0)
      told.record([...big(letter), piece('more')]) // and holds them again
    }
    for (const letter of letters) expect(told.found([...big(letter), piece('more')])).toBe(4)
  })

  test('forgets beyond its bounds what was least lately used, and nothing else', () => {
    const told = new Told()
    const own = (n: number): Piece[] => listOf(`${n}`).concat(piece(`conversation ${n}`), piece('x'))
    const begins = (n: number): Piece[] => [piece('y'.repeat(n + 1)), ...own(n)]
    for (let n = 0; n < 64; n++) told.record(begins(n))
    for (let n = 0; n < 64; n++) expect(told.found(begins(n)), String(n)).toBe(begins(n).length)
    told.record([...begins(0), piece('used again')])
    told.record(begins(64))
    expect(told.found(begins(0))).toBe(begins(0).length)
    expect(told.found(begins(1))).toBe(0)
    for (let n = 2; n <= 64; n++) expect(told.found(begins(n)), String(n)).toBe(begins(n).length)
    const alike = new Told()
    for (let n = 0; n < 17; n++) alike.record([piece('same'), piece(`branch ${n}`)])
    expect(alike.found([piece('same'), piece('branch 0')])).toBe(1)
    for (let n = 1; n < 17; n++) expect(alike.found([piece('same'), piece(`branch ${n}`)])).toBe(2)
    told.memory.clear()
    expect(told.found(begins(64))).toBe(0)
  })

  test('keeps no request alive for a message that is a slice of it', { timeout: 60_000 }, () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const told = new ListMemory()
    const request = (n: number): string => JSON.stringify({ messages: [`message ${n}`.repeat(20)], rest: `${n}`.repeat(1_000_000) })
    gc()
    const before = process.memoryUsage().heapUsed
    for (let n = 0; n < 60; n++) {
      const text = request(n)
      told.remember([piece(text.slice(13, 13 + 180 + 2))], undefined, `e${n}`, undefined)
    }
    gc()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000) // the requests are 110 million
  })
})
