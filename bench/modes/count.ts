// What a contender kept, found by another process than the one that recorded it.

import type { Contender } from '../contender.ts'
import { delivered } from '../load.ts'
import type { CountResult, CountSpec } from '../spec.ts'

export async function measure(spec: CountSpec, contender: Contender): Promise<CountResult> {
  const { marks, whole } = await contender.find!(spec.folder)
  const both = delivered(marks, spec.count)
  return { delivered: both, halves: [...marks.asked, ...marks.answered].filter((number) => number < spec.count).length - 2 * both, whole: whole ?? null }
}
