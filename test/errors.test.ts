// Every error of ours says what to do next. The types ask for a string, so an empty one is looked for in the sources.

import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/** The arguments of the call whose parenthesis opens at `from`, as they are written. */
function argumentsAt(source: string, from: number): string[] {
  const args: string[] = []
  let depth = 0
  let start = from + 1
  for (let i = from; i < source.length; i++) {
    const char = source[i]!
    if (char === "'" || char === '"' || char === '`') {
      for (i++; source[i] !== char; i++) if (source[i] === '\\') i++
    } else if ('([{'.includes(char)) depth++
    else if (')]}'.includes(char) && --depth === 0) return [...args, source.slice(start, i).trim()]
    else if (char === ',' && depth === 1) {
      args.push(source.slice(start, i).trim())
      start = i + 1
    }
  }
  return args
}

/** Where a file makes an error, or has one made, with nothing said of what to do. */
function speechless(source: string): string[] {
  const found = [...source.matchAll(/\bnext: (''|""|``)/g)].map(({ 0: text, index }) => `${source.slice(0, index).split('\n').length}: ${text}`)
  for (const { 0: call, index } of source.matchAll(/\b(?:new \w*Error|super|\w*[fF]ault|fail|refused|misuse|malformed)\(/g)) {
    const empty = argumentsAt(source, index + call.length - 1).filter((argument) => /^(''|""|``)$|[?:] (''|""|``)$/.test(argument))
    if (empty.length > 0) found.push(`${source.slice(0, index).split('\n').length}: ${call} … ${empty.join(', ')} …`)
  }
  return found
}

test('no error of ours is made without a next step', () => {
  const files = globSync('src/**/*.ts', { cwd: new URL('..', import.meta.url).pathname }).filter((path) => !path.endsWith('.test.ts'))
  expect(files.length).toBeGreaterThan(150)
  expect(files.flatMap((path) => speechless(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')).map((where) => `${path}:${where}`))).toEqual([])
})

test('and one that is, is found', () => {
  for (const source of ["new StoreError('a', `b ${c('d', e)}`, '')", "throw fail('a', name, 'b',\n  '', { cause })", "super('a', b, late ? 'ask (again)' : '')", "{ refused: { code: 'a', next: '' } }", "storeFault('a', 'b', \"\")"]) expect(speechless(source), source).toHaveLength(1)
  for (const source of ["new StoreError('a', '', 'b')".replace("''", "'x'"), "new MisuseError('a', x === '' ? 'b' : c, 'd')", "fail('a', 'b', next === '' ? 'c' : next)"]) expect(speechless(source), source).toEqual([])
})
