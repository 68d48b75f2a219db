// The runtime's own SQLite. On Node 22 loading it prints one ExperimentalWarning, which is silenced here, and only that one:
// nobody who audits an agent should have to explain a line on stderr that they cannot act on.

import type * as sqlite from 'node:sqlite'

type NodeSqlite = typeof sqlite

let loaded: NodeSqlite | undefined

/** `node:sqlite`. Loaded at the first call, so that importing this room prints nothing and needs nothing. */
export function nodeSqlite(): NodeSqlite {
  return (loaded ??= silently(() => process.getBuiltinModule('node:sqlite')))
}

/** Runs `load` while the one warning about SQLite being experimental is dropped; every other warning passes. */
export function silently<T>(load: () => T): T {
  // oxlint-disable-next-line typescript/unbound-method -- called on `process`, and put back as it was
  const emitWarning = process.emitWarning
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    const text = typeof warning === 'string' ? warning : warning.message
    if (rest[0] === 'ExperimentalWarning' && text.startsWith('SQLite is an experimental feature')) return
    Reflect.apply(emitWarning, process, [warning, ...rest])
  })
  try {
    return load()
  } finally {
    process.emitWarning = emitWarning
  }
}
