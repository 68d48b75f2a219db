// Joins the command line to an archive folder. Loaded only when a command reads one.

import { archiveEvidence } from '../archive/evidence.ts'
import { archiveFolder } from '../archive/folder.ts'
import { listPath, MAX_BYTES, parseList, segmentPath, type ListedSegment } from '../archive/layout.ts'
import { MisuseError, messageOf } from '../base/errors.ts'
import { rememberedBy } from '../ledger/evidence.ts'
import type { ArchivedLog } from '../ledger/restore-archive.ts'
import { localKept } from '../ledger/restore.ts'
import { ed25519Verifier } from '../log/note.ts'
import type { Policy } from '../log/policy.ts'
import { TILE_WIDTH } from '../log/tile.ts'
import { stateHome } from '../vault/paths.ts'
import type { KeptKeys } from '../vault/keyring.ts'
import type { Evidence } from '../verify/evidence.ts'
import type { Verdict } from '../verify/verdict.ts'
import { verifyLog } from '../verify/verify.ts'

/** Verifies the archive in `folder` under the verifier key `key`, or under the one that it names itself. */
export async function verifyArchive(folder: string, { key, policy, progress }: { key?: string; policy?: Policy; progress: (done: number, total: number) => void }): Promise<Verdict> {
  const vkey = key?.trim()
  if (vkey !== undefined) checkKey(vkey)
  const { evidence, kept } = await remembering(folder, vkey)
  const verdict = await verifyLog(evidence, { progress, ...(policy === undefined ? {} : { policy }) })
  if (verdict.whole && verdict.properties.not_truncated.status === 'proved') kept?.writeProved(verdict.checkpoint)
  return verdict
}

/** The archive as evidence, with what this machine remembers of its log and, where no key was given, under the key that it keeps for it. */
export async function remembering(folder: string, vkey?: string): Promise<{ evidence: Evidence; kept: KeptKeys | undefined }> {
  const files = archiveFolder(folder)
  const found = await archiveEvidence(files, vkey)
  const kept = localKept(found.origin, stateHome())
  if (kept === undefined) return { evidence: found, kept }
  const evidence = vkey === undefined ? await archiveEvidence(files, kept.vkey) : found
  const cosigned = kept.readCosigned()
  return { evidence: { ...evidence, vkey: { text: evidence.vkey.text, pinned: true, given: vkey !== undefined }, own: kept.vkeys(), remembered: rememberedBy(kept), copy: 'archive', ...(cosigned === undefined ? {} : { cosigned }) }, kept }
}

/** The archive in `folder` to restore from. */
export async function archivedLog(folder: string): Promise<ArchivedLog> {
  const { evidence } = await remembering(folder)
  const files = archiveFolder(folder)
  const listOf = async (n: number): Promise<ListedSegment[]> => {
    const bytes = await files.read(listPath(n, Math.min(TILE_WIDTH, evidence.head.size - n * TILE_WIDTH)), MAX_BYTES.list)
    return bytes === undefined ? [] : parseList(bytes)
  }
  return {
    evidence,
    async segments(from, to) {
      const listed = new Map<number, ListedSegment>()
      for (let n = Math.floor(from / TILE_WIDTH); n * TILE_WIDTH < to; n++) for (const one of await listOf(n)) listed.set(one.segment, one)
      const found: Awaited<ReturnType<ArchivedLog['segments']>>[number][] = []
      for (const { segment, scope } of [...listed.values()].sort((a, b) => a.segment - b.segment)) {
        const bytes = await files.read(segmentPath(segment), MAX_BYTES.segment)
        found.push({ segment, scope, ...(bytes === undefined ? {} : { bytes }) })
      }
      return found
    },
  }
}

function checkKey(vkey: string): void {
  try {
    ed25519Verifier(vkey)
  } catch (error) {
    throw new MisuseError('bad_key', `cli: --key is no verifier key: ${messageOf(error)}`, 'counterfoil keys prints it, where the log is kept')
  }
}
