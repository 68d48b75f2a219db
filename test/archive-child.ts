// Archives a log, to be killed on the way: `node archive-child.ts DATABASE FOLDER`.

import { writableFolder } from '../src/archive/folder.ts'
import { writeArchive } from '../src/archive/write.ts'
import { archiveSource } from '../src/cli/archive-source.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'

const [db = '', folder = ''] = process.argv.slice(2)
const store = await openSqliteStore(db, { readOnly: true })
await store.read(async (view) => writeArchive(await writableFolder(folder), await archiveSource(view)))
await store.close()
