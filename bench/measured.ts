// What was measured, part by part, in one JSON file: parts measured in runs of their own are put together here, each with when and where.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, tmpdir } from 'node:os'
import { join } from 'node:path'
import { contenders } from './contenders/all.ts'
import { pythonVersion } from './contenders/classic.ts'
import { peerVersion } from './peers.ts'

export interface Machine { readonly cpu: string; readonly cores: number; readonly memory: number; readonly system: string; readonly disk: string }

export interface Measured {
  /** When it began, and for how long. */
  readonly at: string
  readonly seconds: number
  readonly rounds: number
  readonly quick: boolean
  /** The commit measured; with a + when files were changed since. */
  readonly commit: string
  readonly machine: Machine
  /** Node, Python and the peers. */
  readonly versions: { readonly [name: string]: string }
  /** Who did not take part, and why. */
  readonly absent: { readonly [contender: string]: string }
  readonly data: unknown
}

export interface Reading { readonly parts: { readonly [name: string]: Measured } }

export function readReading(file: string): Reading {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Reading) : { parts: {} }
}

/** Puts a part into the file, in the place of an older one. */
export function keepPart(file: string, name: string, measured: Measured): void {
  const { parts } = readReading(file)
  writeFileSync(`${file}.new`, `${JSON.stringify({ parts: { ...parts, [name]: measured } }, fiveDigits)}\n`)
  renameSync(`${file}.new`, file)
}

/** More digits than a measurement has only fill the file. */
function fiveDigits(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value
}

export function thisMachine(): Machine {
  return { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores: availableParallelism(), memory: Math.round(totalmem() / 2 ** 30), system: `${process.platform} ${release().split('-')[0]!}`, disk: fileSystem() }
}

/** Of the folder in which everything is measured. */
function fileSystem(): string {
  const { status, stdout } = spawnSync('stat', ['-f', '-c', '%T', tmpdir()], { encoding: 'utf8' })
  return status === 0 ? stdout.trim().replace('ext2/ext3', 'ext4') : 'unknown'
}

export function theseVersions(): { [name: string]: string } {
  const python = pythonVersion()
  const peers = contenders.flatMap(({ packages = [] }) => packages).map((name) => [name, peerVersion(name)] as const)
  return {
    node: process.versions.node, sqlite: process.versions['sqlite'] ?? 'unknown', ...(python === undefined ? {} : { python }),
    ...Object.fromEntries(peers.filter((entry): entry is readonly [string, string] => entry[1] !== undefined)),
  }
}

export function thisCommit(): string {
  const git = (...args: string[]): string => spawnSync('git', args, { cwd: join(import.meta.dirname, '..'), encoding: 'utf8' }).stdout?.trim() ?? ''
  const changed = git('status', '--porcelain', '--', 'src', 'bench').split('\n').some((line) => line !== '')
  return `${git('rev-parse', '--short', 'HEAD') || 'unknown'}${changed ? '+' : ''}`
}
