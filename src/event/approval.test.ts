import { describe, expect, test } from 'vitest'
import { Settling, type DecisionFacts } from './approval.ts'

const ada = '0'.repeat(32)
const bea = '1'.repeat(32)
const settle = (quorum: unknown, ...decisions: Omit<DecisionFacts, 'seq'>[]) => {
  const settling = new Settling(quorum)
  for (const [seq, one] of decisions.entries()) settling.add({ seq, ...one })
  return [settling.settled?.decision, settling.settled?.seq, settling.counted]
}
const yes = (approver?: string, outcome = 'success') => ({ decision: 'approved', approver, outcome })
const no = { decision: 'rejected', outcome: 'denied' }

describe('a request', () => {
  test.each([
    ['approved by one', 1, [yes(ada)], ['approved', 0, [0]]],
    ['approved by one, of whom nothing is said', undefined, [yes()], ['approved', 0, [0]]],
    ['not approved by one of two', 2, [yes(ada)], [undefined, undefined, [0]]],
    ['not approved by the same one twice', 2, [yes(ada), yes(ada)], [undefined, undefined, [0]]],
    ['not approved by somebody and nobody', 2, [yes(ada), yes()], [undefined, undefined, [0]]],
    ['not approved by one who was refused', 2, [yes(ada), yes(bea, 'failure')], [undefined, undefined, [0]]],
    ['approved by two, the last of whom settles it', 2, [yes(ada), yes(ada), yes(bea), yes('2'.repeat(32))], ['approved', 2, [0, 2]]],
    ['rejected by one, whoever approved before', 2, [yes(ada), no, yes(bea)], ['rejected', 1, [0, 1]]],
    ['not rejected once it is approved', 1, [yes(ada), no], ['approved', 0, [0]]],
    ['expired, and nothing after it', 1, [{ decision: 'expired' }, yes(ada)], ['expired', 0, [0]]],
    ['not settled by what is no decision', 1, [{ decision: 'perhaps' }], [undefined, undefined, []]],
    ['of one where the quorum is no number above 1', -3, [yes(ada)], ['approved', 0, [0]]],
  ])('is %s', (_what, quorum, decisions, expected) => {
    expect(settle(quorum, ...decisions)).toEqual(expected)
  })
})
