// The table of parsers (test/fuzz/parsers.ts) is whole, and its parsers hold: on right inputs, on inputs that were once too much for one, and
// on some thousand changed ones. `npm run test:slow` gives each of them seconds, FUZZ_SECONDS=300 minutes.

import { globSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Chance, mutated, mutatedJson } from './fuzz/mutate.ts'
import { untyped, type Made } from './fuzz/parser.ts'
import { EXEMPT, PARSERS } from './fuzz/parsers.ts'

const SRC = join(import.meta.dirname, '../src')
const KEPT = join(import.meta.dirname, 'fuzz/seeds')

describe('the table of parsers', () => {
  test('has every export that is called parse…, decode… or read…, or says why not', () => {
    const found: string[] = []
    for (const file of globSync('*/**/*.ts', { cwd: SRC })) {
      if (/\.test\.ts$|fixtures\.ts$|^cli\/demo\//.test(file)) continue
      for (const [, name] of readFileSync(join(SRC, file), 'utf8').matchAll(/^export (?:async )?(?:function\*?|const) ((?:parse|decode|read)[A-Z][A-Za-z0-9]*)/gm)) found.push(`${file} ${name}`)
    }
    expect(found.length).toBeGreaterThan(30)
    const covered = Object.values(PARSERS).flatMap(({ covers }) => covers)
    const exempt = Object.keys(EXEMPT)
    expect(found.filter((name) => !covered.includes(name) && !exempt.includes(name)), 'give it a row in test/fuzz/parsers.ts').toEqual([])
    expect(exempt.filter((name) => !found.includes(name) || covered.includes(name)), 'exempt, and not needed').toEqual([])
    expect(covered.filter((name) => /(?:parse|decode|read)[A-Z]\w*$/.test(name) && !found.includes(name)), 'in the table, and not there any more').toEqual([])
  })

  test('has a parser for each folder of kept inputs', () => {
    expect(readdirSync(KEPT).filter((name) => PARSERS[name] === undefined)).toEqual([])
  })
})

describe.each(Object.keys(PARSERS))('%s', (name) => {
  let made: Made
  beforeAll(async () => { made = await PARSERS[name]!.make() })
  afterAll(() => made.close?.())

  /** What is wrong with the answer to `bytes`; `taken` when it was accepted. */
  async function answer(bytes: Uint8Array): Promise<string | undefined> {
    try {
      await made.run(bytes)
      return 'taken'
    } catch (error) {
      return untyped(error, made)
    }
  }

  test('takes right inputs, and answers to all in its way', async () => {
    const answers: (string | undefined)[] = []
    for (const seed of made.seeds) answers.push(await answer(seed))
    expect(answers.filter((said) => said !== 'taken' && said !== undefined)).toEqual([])
    expect(answers).toContain('taken')
  })

  const kept = readdirSync(KEPT).includes(name) ? readdirSync(join(KEPT, name)) : []
  test.each(kept)('answers to what was kept: %s', async (file) => {
    expect([undefined, 'taken']).toContain(await answer(readFileSync(join(KEPT, name, file))))
  })

  test('answers in its way to changed inputs', async () => {
    const chance = new Chance(Number(process.env['FC_SEED'] ?? Date.now()))
    const end = performance.now() + 250
    for (let n = 0; n < 100 && performance.now() < end; n++) {
      const seed = chance.of(made.seeds)
      const bytes = made.json === undefined ? mutated(seed, made.seeds, chance) : mutatedJson(seed, made.seeds, chance, made.json)
      const said = await answer(bytes)
      if (said !== undefined && said !== 'taken') expect.fail(`${said}\n${Buffer.from(bytes).toString('base64').slice(0, 4_000)}`)
    }
  })
})
