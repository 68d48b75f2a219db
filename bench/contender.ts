// What is measured. A contender opens in a process and a folder of its own, takes acts, and afterwards, from another process, what it
// kept is counted. Those that send instead of keeping are counted at the sink.

import type { Act, Marks } from './load.ts'

export interface At {
  readonly folder: string
  /** How many sessions record side by side. */
  readonly sessions: number
  /** The base URL of the sink, for those that send. */
  readonly sink: string
}

export interface Contender {
  readonly name: string
  /** In tables, at most 24 characters. */
  readonly title: string
  /** `sends`: to a server; `keeps`: in files; `neither`: the floor of the measurement. */
  readonly kind: 'keeps' | 'sends' | 'neither'
  /** What it takes from bench/peers, in the order in which versions are printed. */
  readonly packages?: readonly string[]
  /** Its `settle` means fsynced: it can say how many events a second are durable. */
  readonly durable?: true
  /** Commits each event by itself, so that bursts of thousands would only repeat the same figure for minutes. */
  readonly slow?: true
  /** A program that measures itself, in the place of `open`. */
  readonly program?: readonly [command: string, ...args: string[]]
  readonly open?: (at: At) => Promise<Recorder>
  /** What is found in the folder when the process is gone. `whole` is what a verification said, where there is one. */
  readonly find?: (folder: string) => Promise<{ readonly marks: Marks; readonly whole?: boolean }>
}

export interface Recorder {
  /** Records one act; what the caller waits for. */
  record(act: Act, session: number): void
  /** Resolves when everything recorded so far is where the contender puts it, in its documented way. */
  settle(): Promise<void>
  /** The documented shutdown. */
  close(): Promise<void>
}
