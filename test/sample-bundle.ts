// Bundles and their pages for tests: exported from the closed log at a place.

import { exportBundle, type BundleOrder, type ExportedBundle } from '../src/ledger/bundle.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { openKeyring, originAt, type Place } from './sample-log.ts'

export async function exported(where: Place, order: BundleOrder): Promise<ExportedBundle> {
  const store = await openSqliteStore(where.db, { readOnly: true })
  try {
    return await store.read((view) => exportBundle(view, openKeyring(originAt(where), where.home), order))
  } finally {
    await store.close()
  }
}
