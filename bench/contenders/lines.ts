// Acts in a file of lines, the last of which may be torn.

import { existsSync, readFileSync } from 'node:fs'
import { findMarks, noMarks, type Marks } from '../load.ts'

export async function marksInFile(file: string): Promise<{ marks: Marks }> {
  const marks = noMarks()
  if (existsSync(file)) for (const line of readFileSync(file, 'latin1').split('\n').slice(0, -1)) findMarks(line, marks)
  return { marks }
}
