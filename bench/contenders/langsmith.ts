// LangSmith's client with its defaults: a run tree for each act, posted when it begins and patched when it ends.

import type { Contender } from '../contender.ts'
import { peer } from '../peers.ts'

interface Client { awaitPendingTraceBatches(): Promise<void> }
interface RunTree { postRun(): Promise<void>; end(outputs: object): Promise<void>; patchRun(): Promise<void> }
interface LangSmith { Client: new (options: object) => Client; RunTree: new (options: object) => RunTree }

export const langSmith: Contender = {
  name: 'langsmith', title: 'LangSmith', kind: 'sends', packages: ['langsmith'],
  async open({ sink }) {
    process.env['LANGSMITH_TRACING'] = 'true'
    const { Client, RunTree } = await peer<LangSmith>('langsmith')
    const client = new Client({ apiUrl: sink, apiKey: 'bench' })
    // what is sent late is reported on the console by the client itself; a failed promise of ours would end the process, which is not its way
    const ignored = (): void => {}
    return {
      record({ kind, call, result }, session) {
        const run = new RunTree({ client, name: kind, run_type: kind === 'model' ? 'llm' : 'tool', inputs: call, project_name: 'bench', metadata: { session_id: `s-${session}` }, tracingEnabled: true })
        run.postRun().catch(ignored)
        run.end(result).catch(ignored)
        run.patchRun().catch(ignored)
      },
      settle: () => client.awaitPendingTraceBatches(),
      close: () => client.awaitPendingTraceBatches(),
    }
  },
}
