// Other people's programs on our trees, proofs and archives: golang.org/x/mod (the go command's own checksum database) and Tessera's fsck.

import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writableFolder } from '../src/archive/folder.ts'
import { writeArchive } from '../src/archive/write.ts'
import { archiveSource } from '../src/cli/archive-source.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { askChanged, buildGo, compareTrees, fsck, noGo, treesAsked } from './interop/go.ts'
import { appendRun, openKeyring, openLog, originAt, place, scratch, Telling } from './sample-log.ts'

if (noGo !== undefined) process.stderr.write(`interop: skipped, ${noGo}\n`)

describe.skipIf(noGo !== undefined)(`Go${noGo === undefined ? '' : ` (skipped: ${noGo})`}`, () => {
  const tmp = scratch()
  let programs = ''
  beforeAll(() => { programs = buildGo() }, 240_000)
  afterAll(() => {
    tmp.remove()
    rmSync(programs, { recursive: true, force: true })
  })
  const { count, seed } = treesAsked(60)

  test(`golang.org/x/mod and we make the same of ${count} random trees, and take each other's proofs (SEED=${seed})`, () => compareTrees(programs, count, seed))

  test(`golang.org/x/mod refuses them when one thing is changed (SEED=${seed})`, async () => {
    const { asked, taken } = await askChanged(programs, Math.min(count, 200), seed)
    expect([asked > count * 2, taken]).toEqual([true, []])
  })

  test("Tessera's fsck finds our archive whole, and not once any file of it is changed", async () => {
    const where = place(join(tmp.folder, 'log'))
    const ledger = await openLog(where)
    for (let n = 0; n < 24; n++) await appendRun(ledger, new Telling(), { user: `user-${n}`, order: String(n) })
    await ledger.close()
    const folder = join(tmp.folder, 'archive')
    const store = await openSqliteStore(where.db, { readOnly: true })
    const { size } = await store.read(async (view) => writeArchive(await writableFolder(folder), await archiveSource(view)))
    await store.close()
    expect(size).toBeGreaterThan(256)
    const { vkey } = openKeyring(originAt(where), where.home)
    expect(fsck(programs, folder, vkey)).toBe('whole')
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => /^(?:checkpoint|tile\/)/.test(name) && statSync(join(folder, name)).isFile())
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) {
      const changed = join(tmp.folder, 'changed')
      rmSync(changed, { recursive: true, force: true })
      cpSync(folder, changed, { recursive: true })
      const bytes = readFileSync(join(changed, name))
      bytes[Math.floor(bytes.length / 2)]! ^= 1
      writeFileSync(join(changed, name), bytes)
      expect(fsck(programs, changed, vkey), name).not.toBe('whole')
    }
  })
})
