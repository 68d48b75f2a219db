// Takes acts and does nothing: what the measurement itself costs.

import type { Contender } from '../contender.ts'

export const nothing: Contender = {
  name: 'nothing', title: '(nothing: the floor)', kind: 'neither',
  async open() {
    let taken = 0
    return { record: () => { taken++ }, settle: async () => {}, close: async () => { if (taken === 0) throw new Error('bench: expected acts, got none') } }
  },
}
