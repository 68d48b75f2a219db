// To whom content belongs, as an author says it: a person's id, several where it is of all of them at once, or null for nobody but the session.
// What is said for a part of the work (a tool's act, `about()`) holds for everything recorded meanwhile.

import { AsyncLocalStorage } from 'node:async_hooks'
import { MisuseError } from '../base/errors.ts'
import { quote } from '../event/label.ts'
import type { Subject } from '../event/model-call.ts'

const MAX_ID_LENGTH = 1_024
/** Persons that an author can name at once. */
const MAX_NAMED = 256
const NEXT = "give the person's id, as in { subject: 'c-4712' }, or an array of ids; null says that it is of nobody but the session"

/** What `given` says: the persons sorted, none for null; undefined when nothing is said. MisuseError for anything else. */
export function personsOf(given: unknown, most: number = MAX_NAMED): readonly string[] | undefined {
  if (given === undefined) return undefined
  if (given === null) return []
  const ids: readonly unknown[] = Array.isArray(given) ? given : [given]
  const fit = ids.length >= 1 && ids.every((id) => typeof id === 'string' && id !== '' && id.length <= MAX_ID_LENGTH && id.isWellFormed())
  if (!fit) throw new MisuseError('bad_subject', `recorder: expected subject to be a person's id of 1 to ${MAX_ID_LENGTH} characters, an array of such or null, got ${quote(given)}`, NEXT)
  const persons = [...new Set(ids as readonly string[])].sort()
  if (persons.length > most) throw new MisuseError('bad_subject', `recorder: expected subject to name at most ${most} persons, got ${persons.length}`, 'record what is of each of them as events of their own')
  return persons
}

/** As it is, where it is one. */
export function checkSubject(given: Subject | undefined): Subject | undefined {
  personsOf(given)
  return given
}

/** All persons of these. */
export function together(...subjects: readonly (Subject | undefined)[]): Subject | undefined {
  const all = subjects.flatMap((subject) => subject ?? [])
  return all.length === 0 ? subjects.find((subject) => subject !== undefined) : [...new Set(all)].sort()
}

const about = new AsyncLocalStorage<{ readonly subject: Subject | undefined }>()

/** Whom this async context is about; undefined when nobody said. */
export function currentSubject(): Subject | undefined {
  return about.getStore()?.subject
}

/** Runs `fn` with everything recorded meanwhile said to be of `subject`; undefined: of whoever the session is about. */
export function runAbout<R>(subject: Subject | undefined, fn: () => R): R {
  personsOf(subject)
  return about.run({ subject }, fn)
}
