// counterfoil prove EVENT: a C2SP tlog-proof that the event's entry is in the signed log.

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { StoreError } from '../../base/errors.ts'
import { withTrail, type Context } from '../context.ts'
import { findEvent } from '../find.ts'
import { writeNewFile } from '../new-file.ts'

export function proveCommand(program: Command, context: () => Context): void {
  program.command('prove')
    .description('write a proof that one event is in the signed log, for any C2SP verifier')
    .argument('<event>', 'id, its beginning or end, #INDEX, or last')
    .option('-o, --output <file>', 'where to write it; without it to standard output')
    .option('--force', 'overwrite the file')
    .addHelpText('after', `
The proof (c2sp.org/tlog-proof) holds hashes and the checkpoint, and nothing of the event.

Examples:
  $ counterfoil prove '#21' -o refund.tlog-proof
  $ counterfoil prove last`)
    .action(async (event: string, { output, force = false }: { output?: string; force?: boolean }) => {
      const ctx = context()
      await withTrail(ctx, 'read', async (trail) => {
        const { event_id, index } = await findEvent(trail, event)
        const proof = await trail.prove(event_id)
        if (proof === undefined) throw new StoreError('no_event', `cli: the event ${event_id} is not there any more`, 'counterfoil verify says what is missing')
        if (output !== undefined) writeNewFile(resolve(ctx.cwd, output), proof, force)
        if (ctx.json) ctx.screen.json(output === undefined ? { event_id, index, proof } : { event_id, index, file: output })
        else if (output === undefined) ctx.screen.text(proof)
        else ctx.screen.line(`${output}: entry #${index} is in the log`)
      })
    })
}
