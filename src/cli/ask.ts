// Questions to the person at the terminal.

import { createInterface } from 'node:readline'
import { confirm, isCancel } from '@clack/prompts'
import { visible } from './terminal.ts'

/** Yes or no; leaving the question (Ctrl-C, Esc) is no. */
export async function confirmInTerminal(question: string): Promise<boolean> {
  const answer = await confirm({ message: question.split('\n').map(visible).join('\n'), initialValue: false })
  return !isCancel(answer) && answer
}

/** Resolves at Enter, at Ctrl-C, and when the terminal is gone. */
export function pauseInTerminal(message: string): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  return new Promise((resolve) => {
    terminal.once('line', () => terminal.close()).once('close', resolve)
    terminal.setPrompt(`${visible(message)} `)
    terminal.prompt()
  })
}
