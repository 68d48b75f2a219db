// What is adversarial twice over takes twice as long, not four times: inputs of n, 2n and 4n for each shape that parsers are known to choke on.
// The thread's own time, so that a busy machine does not count; the best of three, so that a collection does not.

import { describe, expect, test } from 'vitest'
import { parseList } from '../../src/archive/layout.ts'
import { fromBase64, utf8 } from '../../src/base/bytes.ts'
import { parseCanonicalJson, parseStrictJson } from '../../src/base/canonical-json.ts'
import { parseShallowJson } from '../../src/base/shallow-json.ts'
import { fitted } from '../../src/cli/fitted.ts'
import { decodeDraft } from '../../src/event/draft.ts'
import { applyMasks, defaultMasks } from '../../src/event/mask.ts'
import { parseEntry } from '../../src/event/parse.ts'
import { decodeSession } from '../../src/event/session.ts'
import { readTreeHead } from '../../src/log/checkpoint.ts'
import { parseNote, parseVerifierKey } from '../../src/log/note.ts'
import { parsePolicy } from '../../src/log/policy.ts'
import { parseProof } from '../../src/log/proof.ts'
import { decodeBundle } from '../../src/log/tile.ts'
import { contentText } from '../../src/page/content.ts'
import { bundleIn, parseBundle } from '../../src/verify/bundle-text.ts'
import { identifiersOf, leavesOf, sentencesOf } from '../../src/why/leaves.ts'
import { keysOf, loosen, wordsOf } from '../../src/why/match.ts'
import { ResponseReader } from '../../src/wire/anthropic.ts'
import { cutObject } from '../../src/wire/json-slices.ts'
import { SseParser } from '../../src/wire/sse.ts'
import { parseAddCheckpoint } from '../../src/witness/request.ts'

const key = 'w.example+c244f014+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU'
const line = '\u2014 w AAAAAAAA\n'
const sse = (text: string): void => {
  const parser = new SseParser()
  parser.push(utf8(text))
  parser.end()
}
const stream = (text: string): void => {
  const reader = new ResponseReader({ status: 200, content_type: 'text/event-stream', streaming: true, model_id: 'm' })
  for (let at = 0, bytes = utf8(text); at < bytes.length; at += 1_000) reader.push(bytes.subarray(at, at + 1_000))
  reader.result()
}
const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`
const mask = (text: string): void => {
  applyMasks(text, 'text', defaultMasks)
  applyMasks(JSON.stringify({ text }), 'json', defaultMasks)
}

/** By name: what makes an input of about n characters, and what reads it. */
const SHAPES: { readonly [name: string]: readonly [make: (n: number) => string, read: (text: string) => unknown, n?: number] } = {
  'a note of many signature lines': [(n) => `x\n\n${line.repeat(n / line.length)}`, parseNote],
  'a note of empty lines': [(n) => '\n'.repeat(n), parseNote],
  'a note of one long line': [(n) => `x\n\n\u2014 ${'n'.repeat(n)}`, parseNote],
  'a key of plus signs': [(n) => '+'.repeat(n), parseVerifierKey],
  'a key of a long name': [(n) => `${'n'.repeat(n)}${key}`, parseVerifierKey],
  'a tree head of extension lines': [(n) => `o\n0\nAAAA\n${'x\n'.repeat(n / 2)}`, readTreeHead],
  'a proof of many lines': [(n) => `c2sp.org/tlog-proof@v1\nindex 0\n${'A\n'.repeat(n / 2)}\n`, parseProof],
  'a proof of much extra': [(n) => `c2sp.org/tlog-proof@v1\nextra ${'A'.repeat(n)}\nindex 0\n\n${line}`, parseProof],
  'an add-checkpoint of lines': [(n) => `old 0\n${'A\n'.repeat(n / 2)}\nx`, (text) => parseAddCheckpoint(utf8(text)), 16_000],
  'a policy of comments': [(n) => `${'#\n'.repeat(n / 2)}quorum none\n`, parsePolicy, 60_000],
  'a policy of one long group': [(n) => `group g all ${'x '.repeat(n / 2)}\n`, parsePolicy, 60_000],
  'a policy of organisations': [(n) => `${Array.from({ length: n / 30 }, (_, i) => `#! organisation o${i} w${i}\n`).join('')}quorum none\n`, parsePolicy, 60_000],
  'base64': [(n) => 'A'.repeat(n - (n % 4)), fromBase64],
  'canonical lists in lists': [(n) => '['.repeat(n / 2) + ']'.repeat(n / 2), parseCanonicalJson],
  'canonical keys': [(n) => `{${Array.from({ length: n / 10 }, (_, i) => `"${i + 1_000_000}":1`).join(',')}}`, parseCanonicalJson],
  'strict JSON of escapes': [(n) => `"${'\\n'.repeat(n / 2)}"`, parseStrictJson],
  'strict JSON of blanks': [(n) => `[${' '.repeat(n)}]`, parseStrictJson],
  'strict JSON of digits': [(n) => `[0.${'1'.repeat(n)}]`, parseStrictJson],
  'JSON of levels': [(n) => '['.repeat(n), parseShallowJson],
  'JSON of open strings': [(n) => '"\\'.repeat(n / 2), parseShallowJson],
  'an entry of levels': [(n) => `{"facts":${'['.repeat(n / 2)}${']'.repeat(n / 2)}}`, (text) => parseEntry(utf8(text)), 16_000],
  'a session row of streams': [(n) => JSON.stringify({ streams: Object.fromEntries(Array.from({ length: n / 20 }, (_, i) => [String(i + 100_000_000), 1])) }), decodeSession],
  'a draft of payloads': [(n) => draftOf(n), (text) => decodeDraft(utf8(text))],
  'an entry bundle of empty entries': [(n) => '\0'.repeat(n), (text) => decodeBundle(utf8(text), 256)],
  'a list of segments': [(n) => '0 x\n'.repeat(n / 4), (text) => parseList(utf8(text))],
  'a page of beginnings': [(n) => '<script type="application/json" id="'.repeat(n / 36), bundleIn],
  'a bundle of levels': [(n) => '['.repeat(n / 2) + ']'.repeat(n / 2), parseBundle],
  'a bundle of entries': [(n) => `{"entries":[${'{},'.repeat(n / 3)}{}]}`, parseBundle],
  'events of empty lines': [(n) => '\n'.repeat(n), sse],
  'events of empty data': [(n) => 'data\n'.repeat(n / 5), sse],
  'an event of one line': [(n) => `data: ${'x'.repeat(n)}`, sse],
  'a stream of blocks that begin again': [(n) => event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: 'x' } }).repeat(n / 90), stream],
  'a stream of messages that begin again': [(n) => Array.from({ length: n / 200 }, (_, i) => event({ type: 'message_start', message: { id: String(i), content: [{ type: 'text', text: 'x' }] } }) + event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'y' } })).join(''), stream],
  'a stream of deltas': [(n) => event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }) + event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'y' } }).repeat(n / 90), stream],
  'a stream of blocks': [(n) => Array.from({ length: n / 90 }, (_, i) => event({ type: 'content_block_start', index: i, content_block: { type: 'text', text: 'x' } })).join(''), stream],
  'slices of members': [(n) => `{${'"a":[{}],'.repeat(n / 9)}"b":1}`, (text) => cutObject(text)?.members],
  'masks over digits': [(n) => '4 '.repeat(n / 2), mask],
  'masks over key heads': [(n) => 'sk-ant-'.repeat(n / 7), mask],
  'masks over URLs': [(n) => '://a:b'.repeat(n / 6), mask],
  'masks over BEGIN lines': [(n) => '-----BEGIN PRIVATE KEY-----'.repeat(n / 27), mask],
  'masks over backslashes': [(n) => '\\"'.repeat(n / 2), mask],
  'masks over web tokens': [(n) => 'eyJaaaaaaaa.'.repeat(n / 12), mask],
  'masks over parameters': [(n) => '?password='.repeat(n / 10), mask],
  'content of controls': [(n) => '\u0001\u202e'.repeat(n / 4), (text) => contentText(utf8(text))],
  'a line of lists in lists': [(n) => '['.repeat(200) + '"x y",'.repeat(n / 6) + '1' + ']'.repeat(200), (text) => fitted(text, 70)],
  'a line of marks': [(n) => 'a\u0301'.repeat(n / 2), (text) => fitted(text, 70)],
  'leaves of lists': [(n) => `[${'[1],'.repeat(n / 4)}1]`, (text) => leavesOf(JSON.parse(text))],
  'sentences of dots': [(n) => 'a.'.repeat(n / 2), sentencesOf],
  'sentences of blanks': [(n) => `a${' '.repeat(n)}`, sentencesOf],
  'identifiers of dots': [(n) => `a1${'.'.repeat(n)}a`, identifiersOf],
  'words': [(n) => 'a-'.repeat(n / 2), (text) => [...wordsOf(text)]],
  'keys of numbers': [(n) => '1,'.repeat(n / 2), (text) => [...keysOf(text)]],
  'keys of dates': [(n) => '2026-11-'.repeat(n / 8), (text) => [...keysOf(text)]],
  'loose text of blanks': [(n) => ' \n'.repeat(n / 2), loosen],
}

function draftOf(n: number): string {
  const header = JSON.stringify({ payloads: Object.fromEntries(Array.from({ length: n / 20 }, (_, i) => [String(i), { n: 0 }])) })
  const length = utf8(header).length
  return `\0${String.fromCharCode(0, (length >> 8) & 127, length & 127)}${header}`
}

describe('four times the input takes some four times as long', () => {
  test.each(Object.keys(SHAPES))('%s', (name) => {
    const [make, read, n = 100_000] = SHAPES[name]!
    const cost = (size: number): number => {
      const text = make(size)
      let best = Infinity
      for (let i = 0; i < 3; i++) {
        const before = process.threadCpuUsage()
        try {
          read(text)
        } catch {
          // how long a refusal takes is what is asked
        }
        const { user, system } = process.threadCpuUsage(before)
        best = Math.min(best, (user + system) / 1000)
      }
      return best
    }
    cost(n / 16) // compiled by now
    // so that a square shows before it takes a minute
    expect(cost(n / 4), 'a quarter').toBeLessThan(2_000)
    // linear is 4, n log n some 4.5, quadratic 16; below 8 ms a timer's steps are what is measured. What grows too fast does so each time.
    let measured = [0, 0, Infinity]
    for (let attempt = 0; attempt < 3 && measured[2]! >= Math.max(8, measured[0]!) * 9; attempt++) measured = [cost(n), cost(2 * n), cost(4 * n)]
    const [once, , four] = measured as [number, number, number]
    expect(four, measured.map((ms) => `${ms.toFixed(1)} ms`).join(', ')).toBeLessThan(Math.max(8, once) * 9)
  }, 60_000)
})
