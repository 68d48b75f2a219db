// Questions to the person at the terminal.

import { confirm, isCancel } from '@clack/prompts'
import { visible } from './terminal.ts'

/** Yes or no; leaving the question (Ctrl-C, Esc) is no. */
export async function confirmInTerminal(question: string): Promise<boolean> {
  const answer = await confirm({ message: question.split('\n').map(visible).join('\n'), initialValue: false })
  return !isCancel(answer) && answer
}
