// Moments as people type them: a date, a time, `yesterday`, or how long ago.

import { MisuseError } from '../base/errors.ts'

const UNITS: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** `2026-11-21` (UTC), `2026-11-21T08:00Z`, `today`, `yesterday`, `90m`, `12h`, `3d`, `2w` ago. */
export function parseMoment(text: string, now: number): Date {
  const today = Math.floor(now / 86_400_000) * 86_400_000
  if (text === 'today') return new Date(today)
  if (text === 'yesterday') return new Date(today - 86_400_000)
  const ago = /^(\d{1,6})([smhdw])$/.exec(text)
  if (ago !== null) return new Date(now - Number(ago[1]) * UNITS[ago[2]!]!)
  const zoned = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})?)?$/.exec(text)
  if (zoned !== null) {
    const ms = Date.parse(text.length > 10 && zoned[4] === undefined ? `${text.replace(' ', 'T')}Z` : text.replace(' ', 'T'))
    if (!Number.isNaN(ms)) return new Date(ms)
  }
  throw new MisuseError('bad_time', `cli: expected a time, got ${JSON.stringify(text.slice(0, 60))}`, 'write 2026-11-21, 2026-11-21T08:00Z (UTC), today, yesterday, or how long ago: 90m, 12h, 3d, 2w')
}
