// Ourselves, as anybody has us: defaults, everything on.

import { join } from 'node:path'
import type { EventInputs, Place } from '../../src/index.ts'
import type { Contender } from '../contender.ts'
import { findMarks, noMarks } from '../load.ts'

export const counterfoil: Contender = {
  name: 'counterfoil', title: 'counterfoil', kind: 'keeps', durable: true,
  async open({ folder, sessions: count }) {
    const { openTrail } = await import('../../src/index.ts')
    const trail = openTrail(join(folder, 'audit.db'), { agent_id: 'bench', home: join(folder, 'home') })
    const sessions = await Promise.all(Array.from({ length: count }, (_, i) => trail.start({ user_id: `c-${i}` })))
    return {
      record(act, at) {
        const session = sessions[at]!
        if (act.kind === 'model') {
          const { event_id } = session.record('llm_call', act.call)
          session.record('llm_result', { ...act.result, parent_event_id: event_id })
        } else {
          const { event_id } = session.record('tool_call', act.call)
          session.record('tool_result', { ...act.result, parent_event_id: event_id } satisfies EventInputs['tool_result'] & Place)
        }
      },
      settle: () => trail.flush(),
      async close() {
        for (const session of sessions) await session.end({ outcome: 'success' })
        await trail.close()
      },
    }
  },
  async find(folder) {
    const { openTrail } = await import('../../src/index.ts')
    const trail = openTrail(join(folder, 'audit.db'), { home: join(folder, 'home') })
    try {
      await trail.ready()
      await trail.flush()
      const marks = noMarks()
      const ids = new Set<string>()
      for (const type of ['llm_call', 'llm_result', 'tool_call', 'tool_result'] as const) {
        for await (const event of trail.events({ event_type: type })) {
          if (ids.has(event.event_id)) throw new Error(`bench: ${event.event_id} is on record twice`)
          ids.add(event.event_id)
          findMarks(JSON.stringify(event), marks)
        }
      }
      return { marks, whole: (await trail.verify()).whole }
    } finally {
      await trail.close()
    }
  },
}
