// A tlog-policy in a file.

import { readFileSync, statSync } from 'node:fs'
import { MisuseError } from '../base/errors.ts'
import { MAX_POLICY_BYTES, parsePolicy } from '../log/policy.ts'

/** The text of the policy at `path`, whole and well formed. MisuseError `policy_missing` or `policy_malformed`. */
export function readPolicyText(path: string): string {
  let text: string
  try {
    const { size } = statSync(path)
    if (size > MAX_POLICY_BYTES) throw new MisuseError('policy_malformed', `witness: expected at most ${MAX_POLICY_BYTES} bytes in ${path}, got ${size}`, 'name a tlog-policy file')
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if (cause instanceof MisuseError) throw cause
    throw new MisuseError('policy_missing', `witness: the policy ${path} cannot be read: ${(cause as Error).message}`, 'check the path')
  }
  parsePolicy(text)
  return text
}
