// The source with one thing wrong: an fsync left out or moved, an acknowledgement before its time. Each change must fit exactly once, so that a mutant which
// no longer is one fails the test.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from '../built-package.ts'

export interface Mutant {
  readonly name: string
  /** Which run of `power-child.ts` meets it. */
  readonly run: 'agent' | 'upkeep'
  readonly file: string
  readonly change: readonly (readonly [from: string, to: string])[]
  /** The part of the run after which it can do no harm any more. */
  readonly until?: number
  /** Why no power cut shows it, where none does. */
  readonly harmless?: string
}

export const MUTANTS: readonly Mutant[] = [
  { name: 'synchronous is OFF', run: 'agent', file: 'src/store/sqlite.ts', change: [["['synchronous', 'FULL', 2]", "['synchronous', 'OFF', 0]"]] },
  { name: 'synchronous is NORMAL', run: 'agent', file: 'src/store/sqlite.ts', change: [["['synchronous', 'FULL', 2]", "['synchronous', 'NORMAL', 1]"]] },
  { name: 'the journal is kept in memory', run: 'agent', file: 'src/store/sqlite.ts', change: [["configure(db, 'wal'))", "configure(db, 'memory'))"]] },
  {
    name: 'an append is acknowledged before its commit', run: 'agent', file: 'src/store/sqlite.ts',
    change: [["      this.#commit(db)\n      this.#checkUnmoved()\n      return result\n    } finally {\n      release()\n    }", `
      setTimeout(() => {
        this.#commit(db)
        release()
      }, 5)
      return result
    } catch (error) {
      release()
      throw error
    }`]],
  },
  { name: 'the making of a database that was cut off is not undone', run: 'agent', file: 'src/store/file-system.ts', change: [['header.readUInt32BE(16) === 0', 'header.readUInt32BE(16) === -1']], harmless: 'it is of the opening, which the unchanged source does here: src/store/sqlite.test.ts has it' },
  { name: 'the head is written before the commit', run: 'agent', file: 'src/ledger/batch.ts', change: [['      const head = { size, checkpoint }\n', '      const head = { size, checkpoint }\n      this.#keyring.writeHead(checkpoint)\n']] },
  { name: 'a key file is not synced', run: 'agent', file: 'src/vault/key-folder.ts', change: [['    writeWhole(fd, Buffer.from(text))\n    fsyncSync(fd)\n', '    writeWhole(fd, Buffer.from(text))\n']] },
  { name: 'a head is written in place', run: 'agent', file: 'src/vault/key-folder.ts', change: [['    renameSync(this.#draft(text), join(this.name, name))\n    syncFolder(this.name)\n', "    const fd = openSync(join(this.name, name), 'w', 0o600)\n    writeWhole(fd, Buffer.from(text))\n    fsyncSync(fd)\n    closeSync(fd)\n"]] },
  { name: 'the folder of new keys is not synced in its own', run: 'agent', file: 'src/vault/key-folder.ts', change: [['  syncFolder(parent)\n  return new DiskFolder(path)', '  return new DiskFolder(path)']] },
  { name: 'the files of new keys are not synced in their folder', run: 'agent', until: 0.1, file: 'src/vault/key-folder.ts', change: [['    syncFolder(draft)\n', '']] },
  { name: 'the state folder is not synced in those above it', run: 'agent', file: 'src/vault/key-folder.ts', change: [['    try {\n      syncFolder(at)\n    } catch', '    try {\n      if (!at) return\n    } catch']] },
  { name: 'a made key is not synced in its folder', run: 'upkeep', file: 'src/vault/key-folder.ts', change: [['      unlinkSync(draft)\n    }\n    syncFolder(this.name)\n', '      unlinkSync(draft)\n    }\n']] },
  { name: 'a key is not overwritten on the disk before it is unlinked', run: 'upkeep', file: 'src/vault/key-folder.ts', change: [['  writeWhole(fd, randomBytes(fstatSync(fd).size))\n  fsyncSync(fd)\n', '  writeWhole(fd, randomBytes(fstatSync(fd).size))\n']] },
  {
    name: 'a replaced file is not synced in its folder', run: 'upkeep', file: 'src/vault/key-folder.ts', change: [['    renameSync(this.#draft(text), join(this.name, name))\n    syncFolder(this.name)\n', '    renameSync(this.#draft(text), join(this.name, name))\n']],
    harmless: 'an older head is older memory, and what a rotation writes by it, `follow` makes again out of the log',
  },
  {
    name: 'an unlinked key is not synced in its folder', run: 'upkeep', file: 'src/vault/key-folder.ts', change: [['    rmSync(path, { force: true }) // another process may be at the same\n    syncFolder(this.name)\n', '    rmSync(path, { force: true })\n']],
    harmless: 'what comes back is noise, which `keks` and `secrets` pass by',
  },
  { name: 'the spool is not synced at the level spooled', run: 'agent', file: 'src/spool/writer.ts', change: [['      await call((done) => fdatasync(fd, done))\n', '']] },
  { name: 'the folder of spools is not synced at the level spooled', run: 'agent', file: 'src/spool/writer.ts', change: [['        await syncFolder(at)\n        if', '        if']] },
  { name: 'only the folder of spools is synced, not those that were made for it', run: 'agent', file: 'src/spool/writer.ts', change: [['if (at.length <= last.length) break', 'break']] },
  { name: 'what a spool holds of erased events is not overwritten on the disk', run: 'agent', file: 'src/spool/scrub.ts', change: [['    fsyncSync(fd)\n', '']] },
  { name: 'a spool that was removed may come back after an erasure', run: 'agent', file: 'src/ledger/ledger.ts', change: [['    if (existsSync(spools.folder)) syncFolder(spools.folder)', '    ']] },
  { name: 'an erasure is acknowledged before the write-ahead log is emptied', run: 'agent', file: 'src/ledger/ledger.ts', change: [['    const wiped = await this.#exclusive(() => this.#store.wipe())\n', "    const wiped = 'later'\n"]] },
  { name: 'what is deleted stays in free pages', run: 'agent', file: 'src/store/sqlite.ts', change: [["['secure_delete', 'ON', 1]", "['secure_delete', 'OFF', 0]"]] },
  { name: 'an old KEK is destroyed before the database is under the new one', run: 'upkeep', file: 'src/ledger/ledger.ts', change: [["    const done = await this.#exclusive(() => this.#store.append(async (tx) => {\n      const newest = this.#keyring.currentKek()\n", "    const done = await this.#exclusive(() => this.#store.append(async (tx) => {\n      const newest = this.#keyring.currentKek()\n      const old = this.#keyring.kek(1)\n      this.#keyring.destroyKek(1)\n"], ['(generation) => this.#keyring.kek(generation))\n          return', '(generation) => (generation === 1 ? old : this.#keyring.kek(generation)))\n          return']] },
  { name: 'the copy of a database is not synced', run: 'upkeep', file: 'src/store/file-system.ts', change: [['  sync(partial)\n', '']], harmless: 'a backup syncs each file again when it takes the rights of others from it' },
  { name: 'the files of a backup are not synced', run: 'upkeep', file: 'src/ledger/backup-folder.ts', change: [['    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)\n    fsyncSync(fd)\n', '    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done)\n']] },
  { name: 'the folder of a backup is not synced', run: 'upkeep', file: 'src/ledger/backup.ts', change: [["    syncFolder(folder)\n    const sealed", '    const sealed'], ['    syncFolder(folder)\n    rmSync(join(folder, INCOMPLETE))\n    syncFolder(folder)\n', '    rmSync(join(folder, INCOMPLETE))\n']] },
  { name: 'the files of an archive are not synced', run: 'upkeep', file: 'src/archive/folder.ts', change: [['        await file.datasync()\n', '']] },
  { name: 'the folders of an archive are not synced', run: 'upkeep', file: 'src/archive/folder.ts', change: [['        await file.sync()\n', '        await file.stat()\n']] },
  { name: 'the folders above an archive are not synced', run: 'upkeep', file: 'src/archive/folder.ts', change: [['folders.add(dirname(at))\n', 'dirname(at)\n']] },
]

/** A copy of the source with `mutant` in it, in `folder`, and with the children that run it. */
export function mutated(mutant: Mutant, folder: string): string {
  for (const path of ['src', 'package.json', 'test/sample-log.ts', 'test/slow/power-child.ts', 'test/slow/syscall-child.ts']) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    cpSync(join(root, path), join(folder, path), { recursive: true, filter: (from) => !from.endsWith('.test.ts') })
  }
  writeFileSync(join(folder, mutant.file), changed(mutant))
  return folder
}

/** The changed file. */
export function changed({ name, file, change }: Mutant): string {
  let text = readFileSync(join(root, file), 'utf8')
  for (const [from, to] of change) {
    const parts = text.split(from)
    if (parts.length !== 2) throw new Error(`"${name}" fits ${parts.length - 1} times into ${file}, expected once: ${from.trim()}`)
    text = parts.join(to)
  }
  return text
}
