// Questions to the person at the terminal.

import { createInterface } from 'node:readline'
import { confirm, isCancel, password } from '@clack/prompts'
import { visible } from './terminal.ts'

/** Yes or no; leaving the question (Ctrl-C, Esc) is no. */
export async function confirmInTerminal(question: string): Promise<boolean> {
  const answer = await confirm({ message: question.split('\n').map(visible).join('\n'), initialValue: false })
  return !isCancel(answer) && answer
}

/** What was typed, unseen; undefined when the question was left or nothing was typed. */
export async function secretInTerminal(question: string): Promise<string | undefined> {
  const answer = await password({ message: visible(question) })
  return isCancel(answer) || typeof answer !== 'string' || answer === '' ? undefined : answer
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
