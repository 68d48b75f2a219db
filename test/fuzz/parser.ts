// What a row of the table of parsers is, and how one input is judged.

import { CounterfoilError, MisuseError } from '../../src/base/errors.ts'

/** One reader of what a stranger may have written. */
export interface Parser {
  /** The exports that `run` goes through, as `room/file.ts name`. */
  readonly covers: readonly string[]
  readonly make: () => Made | Promise<Made>
}

/** A parser ready to run. */
export interface Made {
  /** Right inputs, by our own writers: each is taken. */
  readonly seeds: readonly Uint8Array[]
  /** Reads one input; what it takes it holds against the format (`same`). A promise where the reader is one. */
  readonly run: (bytes: Uint8Array) => unknown
  /** What may be thrown beside errors of ours: a TypeError, RangeError or SyntaxError whose message is of this form. */
  readonly refuses?: RegExp
  /** Seeds are JSON: their tree is changed, and written by this. */
  readonly json?: (value: unknown) => string
  /** The reader takes anything: nothing may be thrown at all. */
  readonly takesAll?: true
  readonly close?: () => unknown
}

/** What was accepted is not what was written: no parser may throw it. */
export class Wrong extends Error {
  constructor(what: string) {
    super(what)
    this.name = 'Wrong'
  }
}

/** Throws unless `again`, what encoding gives, is `bytes`. */
export function same(again: Uint8Array | string, bytes: Uint8Array | string, what: string): void {
  const [a, b] = [again, bytes].map((each) => (typeof each === 'string' ? Buffer.from(each, 'utf16le') : Buffer.from(each.buffer, each.byteOffset, each.byteLength)))
  if (!a!.equals(b!)) throw new Wrong(`${what}: encoding what was accepted gives other bytes`)
}

export function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Wrong(what)
}

/** The error of a refusal if it is none of the documented kinds, else undefined. */
export function untyped(error: unknown, { refuses, takesAll }: Pick<Made, 'refuses' | 'takesAll'>): string | undefined {
  const said = error instanceof Error ? `${error.name}: ${error.message.slice(0, 300)}\n${(error.stack ?? '').split('\n').filter((line) => /^ {4}at /.test(line)).slice(0, 4).join('\n')}` : `threw ${String(error)}`
  if (takesAll === true || error instanceof Wrong || !(error instanceof Error)) return said
  if (error instanceof CounterfoilError || error instanceof MisuseError) return error.code !== '' && error.next !== '' && error.message.length < 4_000 && error.code !== 'internal' ? undefined : said
  const ours = (error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError) && refuses?.test(error.message) === true
  return ours ? undefined : said
}
