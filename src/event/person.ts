// Whom a payload `identity` names: `{"subject": id}`, or `{"subjects": [id, …]}` where content belongs to several persons at once.

import { isRecord } from './kind.ts'

/** The persons in `text`. Throws a SyntaxError when it is no JSON. */
export function personsIn(text: string): readonly string[] {
  const identity: unknown = JSON.parse(text)
  if (!isRecord(identity)) return []
  const { subject, subjects } = identity
  return [...(Array.isArray(subjects) ? subjects : []), subject].filter((one) => typeof one === 'string')
}

/** What `personsIn` reads. */
export function identityOf(persons: readonly string[], role: string): string {
  return JSON.stringify(persons.length === 1 ? { subject: persons[0], role } : { subjects: persons, role })
}
