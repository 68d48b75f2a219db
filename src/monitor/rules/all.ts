// The rules that need no model, in the order in which their findings at one event are told.

import type { Rule } from '../rule.ts'
import { intentWithoutOutcome } from './intent-without-outcome.ts'
import { repeatedFailure } from './repeated-failure.ts'
import { unapprovedAct } from './unapproved-act.ts'
import { undeclaredTool } from './undeclared-tool.ts'
import { untrustedArgument } from './untrusted-argument.ts'

export const RULES: readonly Rule[] = [undeclaredTool, unapprovedAct, untrustedArgument, repeatedFailure, intentWithoutOutcome]
