// A witness as its own process that is to be killed: with `hold` it stops for good after it has written, before it answers. For tests.
//
//   node test/witness-child.ts FOLDER VKEY [hold]

import { serveWitness } from '../src/witness/server.ts'
import { readWitnessKey, WitnessState } from '../src/witness/state.ts'
import { Witness } from '../src/witness/witness.ts'

const [folder = '', vkey = '', hold] = process.argv.slice(2)
const state = WitnessState.open(folder)
if (hold !== undefined) {
  const write = state.write.bind(state)
  state.write = (origin, note) => {
    write(origin, note)
    process.stdout.write('written\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  }
}
const { url } = await serveWitness(new Witness(state, readWitnessKey(folder), [vkey], Date.now), { port: 0 })
process.stdout.write(`${url}\n`)
