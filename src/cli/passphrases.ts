// The passphrases of keys that are here and of those in a backup, which may be two: out of the environment, or asked for at a terminal.

import { CounterfoilError } from '../base/errors.ts'
import type { Context } from './context.ts'

export interface Passphrases { readonly passphrase?: string; readonly backupPassphrase?: string }

const QUESTIONS: { readonly [code in string]?: readonly [name: keyof Passphrases, question: string] } = {
  passphrase_needed: ['passphrase', 'passphrase of the keys'],
  backup_passphrase_needed: ['backupPassphrase', 'passphrase of the keys in the backup'],
  backup_passphrase_wrong: ['backupPassphrase', 'passphrase of the keys in the backup'],
}

/** Runs `work`, again with each passphrase that it lacks and a person gives. Where the question is left its error stands, or `otherwise` answers. */
export async function withPassphrases<T>({ env, interactive, secret }: Pick<Context, 'env' | 'interactive' | 'secret'>, work: (given: Passphrases) => Promise<T>, otherwise?: () => Promise<T>): Promise<T> {
  const { COUNTERFOIL_PASSPHRASE: passphrase = '', COUNTERFOIL_BACKUP_PASSPHRASE: backup = '' } = env
  let given: Passphrases = { ...(passphrase === '' ? {} : { passphrase }), ...(backup === '' ? {} : { backupPassphrase: backup }) }
  for (;;) {
    try {
      return await work(given)
    } catch (error) {
      const [name, question] = (error instanceof CounterfoilError ? QUESTIONS[error.code] : undefined) ?? []
      if (name === undefined || question === undefined || given[name] !== undefined) throw error
      const answer = interactive ? await secret(question) : undefined
      if (answer !== undefined) given = { ...given, [name]: answer }
      else if (otherwise === undefined || (error as CounterfoilError).code === 'backup_passphrase_wrong') throw error
      else return otherwise()
    }
  }
}
