import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBundle, encodeBundle, formatTilePath, joinHashes, newTiles, parseTilePath, splitHashes, tilesOf, tileWidth } from './tile.ts'

const names = (tiles: Iterable<{ level: number; index: number; width: number }>): string[] => [...tiles].map(formatTilePath)

describe('tiles of a size', () => {
  test('are those of the example in tlog-tiles', () => {
    const tiles = names(tilesOf(70_000))
    expect(tiles.length).toBe(274 + 2 + 1)
    expect(tiles.filter((name) => name.includes('.p/'))).toEqual(['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1'])
    expect(names(tilesOf(0))).toEqual([])
    expect(names(tilesOf(1))).toEqual(['tile/0/000.p/1'])
    expect(names(tilesOf(256))).toEqual(['tile/0/000', 'tile/1/000.p/1'])
  })

  test('grow by newTiles, for every old and new size', () => {
    for (const size of [0, 1, 255, 256, 257, 300, 512, 1_000]) {
      for (let old = 0; old <= size; old++) {
        const before = new Set(names(tilesOf(old)))
        expect(names(newTiles(old, size))).toEqual(names(tilesOf(size)).filter((name) => !before.has(name)))
      }
    }
    expect(() => [...newTiles(2, 1)]).toThrow(RangeError)
    expect(() => [...newTiles(0, 2 ** 53)]).toThrow(RangeError)
    expect(() => [...newTiles(0.5, 1)]).toThrow(RangeError)
  })

  test('have the widths that the size gives them, past 2^32 too', () => {
    expect(tileWidth(0, 273, 70_000)).toBe(112)
    expect(tileWidth(0, 274, 70_000)).toBe(0)
    expect(tileWidth(1, 0, 70_000)).toBe(256)
    expect(tileWidth(0, 2 ** 40 - 1, 2 ** 48 + 5)).toBe(256)
    expect(tileWidth(0, 2 ** 40, 2 ** 48 + 5)).toBe(5)
    expect(tileWidth(5, 1, 2 ** 48 + 5)).toBe(0)
    expect(tileWidth(5, 0, 2 ** 48 + 5)).toBe(256)
    expect(names(newTiles(2 ** 40 + 254, 2 ** 40 + 257))).toEqual([
      'tile/0/x004/x294/x967/296', 'tile/0/x004/x294/x967/297.p/1', 'tile/1/x016/x777/216.p/1',
    ])
  })
})

describe('tile paths', () => {
  test.each([
    ['tile/0/x001/x234/067', 0, 1_234_067, 256],
    ['tile/0/000', 0, 0, 256],
    ['tile/1/999.p/255', 1, 999, 255],
    ['tile/2/x001/000.p/1', 2, 1_000, 1],
    ['tile/63/000', 63, 0, 256],
    ['tile/entries/x001/234.p/10', 'entries', 1_234, 10],
    ['tile/0/x009/x007/x199/x254/x740/991', 0, Number.MAX_SAFE_INTEGER, 256],
  ] as const)('%s', (path, level, index, width) => {
    expect(formatTilePath({ level, index, width })).toBe(path)
    expect(parseTilePath(path)).toEqual({ level, index, width })
  })

  test.each([
    '', 'tile/0/00', 'tile/0/1', 'tile/0/0000', 'tile/0/x000/001', 'tile/0/001/002', 'tile/0/x001', 'tile/0/x001/', '/tile/0/001', 'tile/0/001/',
    'tile/00/001', 'tile/64/001', 'tile/100/001', 'tile/-1/001', 'tile/data/001', 'tile/0/001.p/0', 'tile/0/001.p/256', 'tile/0/001.p/01',
    'tile/0/001.p/', 'tile/0/001.p/257', 'tile/0/x009/x007/x199/x254/x740/992', 'tile/0/x999/x999/x999/x999/x999/999',
    'tile/0/x001/x001/x001/x001/x001/x001/001', 'tile/0/001\n', 'tile/0/../001', 'tile/0/٠٠١',
  ])('%j is none', (path) => {
    expect(() => parseTilePath(path)).toThrow(expect.objectContaining({ name: 'VerifyError', code: 'tile_malformed' }))
  })

  test('of impossible tiles are a RangeError', () => {
    for (const tile of [{ level: 64, index: 0, width: 1 }, { level: -1, index: 0, width: 1 }, { level: 0, index: -1, width: 1 }, { level: 0, index: 2 ** 53, width: 1 }, { level: 0, index: 0, width: 0 }, { level: 0, index: 0, width: 257 }, { level: 0, index: 0, width: 1.5 }]) {
      expect(() => formatTilePath(tile)).toThrow(RangeError)
    }
  })
})

describe('entry bundles', () => {
  test('come back as they went in', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 256 }), (entries) => {
        expect(decodeBundle(encodeBundle(entries), entries.length)).toEqual(entries)
      }),
    )
    const most = Array.from({ length: 256 }, (_, i) => new Uint8Array(i))
    expect(decodeBundle(encodeBundle(most), 256)).toEqual(most)
    const largest = new Uint8Array(65_535).fill(7)
    expect(decodeBundle(encodeBundle([largest, new Uint8Array()]), 2)).toEqual([largest, new Uint8Array()])
  })

  test('have big-endian lengths', () => {
    expect(encodeBundle([new Uint8Array(258), new Uint8Array([5])]).slice(0, 2)).toEqual(new Uint8Array([1, 2]))
    expect(encodeBundle([new Uint8Array([5])])).toEqual(new Uint8Array([0, 1, 5]))
  })

  test('refuse what they cannot hold', () => {
    expect(() => encodeBundle([])).toThrow(RangeError)
    expect(() => encodeBundle(Array.from({ length: 257 }, () => new Uint8Array()))).toThrow(RangeError)
    expect(() => encodeBundle([new Uint8Array(65_536)])).toThrow('expected an entry up to 65535 bytes')
  })

  test('cut short, drawn out or counted wrongly are a VerifyError', () => {
    const bytes = encodeBundle([new Uint8Array([1, 2, 3]), new Uint8Array(), new Uint8Array([4])])
    const fault = expect.objectContaining({ code: 'bundle_malformed' })
    for (let length = 0; length < bytes.length; length++) expect(() => decodeBundle(bytes.slice(0, length), 3)).toThrow(fault)
    for (const width of [0, 1, 2, 4]) expect(() => decodeBundle(bytes, width)).toThrow(fault)
    expect(() => decodeBundle(new Uint8Array([...bytes, 0]), 3)).toThrow(fault)
    expect(() => decodeBundle(new Uint8Array([...bytes, 0, 0]), 3)).toThrow(fault)
    expect(() => decodeBundle(new Uint8Array([0]), 1)).toThrow(fault)
  })
})

test('hashes are split and joined', () => {
  const bytes = Uint8Array.from({ length: 96 }, (_, i) => i)
  expect(splitHashes(bytes).map((hash) => hash[0])).toEqual([0, 32, 64])
  expect(joinHashes(splitHashes(bytes))).toEqual(bytes)
  expect(() => splitHashes(bytes.slice(1))).toThrow(RangeError)
})
