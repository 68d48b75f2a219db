import { expect, test } from 'vitest'
import { didYouMean, nearest } from './near.ts'
import { VOCABULARY } from './vocabulary.ts'

test.each([
  ['tool_cal', ['tool_call']], ['toolCall', ['tool_call']], ['tool-calls', ['tool_call']], ['llmcall', ['llm_call']], ['approval', ['approval_request', 'approval_decision']], ['reasonning', ['reasoning']],
  ['thinking', []], ['order_escalated', []], ['', []], ['__proto__', []],
])('%s may have been meant as %j', (text, names) => expect(nearest(text, Object.keys(VOCABULARY))).toEqual(names))

test('a question names what is near, and is none when nothing is', () => {
  expect(didYouMean('erorr', ['error', 'gap'])).toBe('did you mean error?')
  expect(didYouMean('x', ['error', 'gap'])).toBe('')
})
