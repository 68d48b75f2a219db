// counterfoil/verify: checks evidence without the trail that made it. Runs in a browser: nothing here reaches node:.

export { verifyLog, type VerifyOptions } from './verify/verify.ts'
export { exitCode, PROPERTIES, type Problem, type Property, type PropertyVerdict, type Status, type Verdict } from './verify/verdict.ts'
export type { Disclosed, Evidence, Fault, Vault } from './verify/evidence.ts'
export { leafHash, type Hash } from './log/hash.ts'
export { ed25519Verifier, type NoteVerifier } from './log/note.ts'
export { parsePolicy, type Policy } from './log/policy.ts'
export { openCheckpoint, type Checkpoint } from './log/checkpoint.ts'
export { checkInclusion, type Inclusion } from './log/inclusion.ts'
export { checkConsistency, type Consistency } from './log/consistency.ts'
export { openProof, type ProofTrust } from './log/proof.ts'
export { checkCommitment } from './vault/commitment.ts'
export { CounterfoilError, VerifyError } from './base/errors.ts'
