// counterfoil init: what to add to the project in this folder. Shows it; writes one new file only when told to.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import { trailPath, type Context } from '../context.ts'
import { bold, green, grey, whole, yellow } from '../terminal.ts'

/** What was found in a folder. */
export interface Project { readonly manager: 'npm' | 'pnpm' | 'yarn' | 'bun'; readonly hasPackage: boolean; readonly installed: boolean; readonly anthropic: boolean; readonly language: 'ts' | 'js' | 'cjs'; readonly ignoresTrail: boolean; readonly git: boolean }

export function initCommand(program: Command, context: () => Context): void {
  program.command('init')
    .description('show what to add to the project in this folder')
    .option('--write <file>', 'write the snippet into a new file')
    .option('--continues <old>', 'begin a new log at --trail that names the log in this file')
    .addHelpText('after', `
Nothing that exists is changed. A log whose newest entries are lost for good is not
continued: it stays as it is, and --continues begins the one that comes after it.

Examples:
  $ counterfoil init
  $ counterfoil init --write audit.ts
  $ counterfoil --trail next.db init --continues agent_audit.db`)
    .action(async ({ write, continues }: { write?: string; continues?: string }) => {
      const ctx = context()
      if (continues !== undefined) return begin(ctx, resolve(ctx.cwd, continues))
      const project = inspect(ctx.cwd)
      const code = snippet(project)
      if (write !== undefined) writeOnce(join(ctx.cwd, write), code)
      if (ctx.json) return ctx.screen.json({ ...project, snippet: code, ...(write === undefined ? {} : { written: write }) })
      print(ctx, project, code, write)
    })
}

async function begin(ctx: Context, old: string): Promise<void> {
  const { continueLog } = await import('../restored.ts')
  const path = trailPath(ctx)
  const { origin, previous } = await continueLog(old, path)
  if (ctx.json) return ctx.screen.json({ trail: path, origin, previous })
  ctx.screen.line(green('begun'), ' ', whole(path, 'bold'))
  ctx.screen.line('  ', grey('log        '), whole(origin))
  ctx.screen.line('  ', grey('continues  '), whole(previous))
}

function print({ screen }: Context, project: Project, code: string, written: string | undefined): void {
  const steps: [string, string[]][] = []
  if (!project.installed) steps.push(['Install', [`  ${INSTALL[project.manager]} counterfoil${project.anthropic ? '' : ' @anthropic-ai/sdk'}`]])
  steps.push(written === undefined ? ['Add to your agent', code.trimEnd().split('\n').map((line) => `  ${line}`)] : [`Written to ${written}`, ['  import { trail } from it where your agent runs']])
  if (project.git && !project.ignoresTrail) steps.push(['Keep the trail out of git: add to .gitignore', ['  agent_audit.db*']])
  steps.push(['Then look', ['  counterfoil show', '  counterfoil verify']])
  if (!project.hasPackage) screen.line(yellow('There is no package.json here: this is not the folder of a project.'), '')
  for (const [i, [title, lines]] of steps.entries()) {
    screen.line(grey(`${i + 1}  `), bold(title))
    screen.text(`\n${lines.join('\n')}\n`)
    screen.line()
  }
}

const INSTALL = { npm: 'npm install', pnpm: 'pnpm add', yarn: 'yarn add', bun: 'bun add' } as const

/** What `folder` holds, from its manifest, lock files and .gitignore. */
export function inspect(folder: string): Project {
  const manifest = readJson(join(folder, 'package.json'))
  const dependencies = { ...record(manifest?.['dependencies']), ...record(manifest?.['devDependencies']) }
  const has = (name: string): boolean => existsSync(join(folder, name))
  const ignored = has('.gitignore') ? readFileSync(join(folder, '.gitignore'), 'utf8').split('\n').map((line) => line.trim()) : []
  return {
    manager: has('pnpm-lock.yaml') ? 'pnpm' : has('yarn.lock') ? 'yarn' : has('bun.lock') || has('bun.lockb') ? 'bun' : 'npm',
    hasPackage: manifest !== undefined,
    installed: 'counterfoil' in dependencies,
    anthropic: '@anthropic-ai/sdk' in dependencies,
    language: has('tsconfig.json') || 'typescript' in dependencies ? 'ts' : manifest === undefined || manifest['type'] === 'module' ? 'js' : 'cjs',
    ignoresTrail: ignored.some((line) => /^\/?(agent_audit\.db\*?|\*\.db\*?)$/.test(line)),
    git: has('.git'),
  }
}

/** The lines that put an agent on the record, for this project. */
export function snippet({ language }: Project): string {
  const imports = language === 'cjs'
    ? `const Anthropic = require('@anthropic-ai/sdk')\nconst { openTrail } = require('counterfoil')\nconst { auditAnthropic } = require('counterfoil/anthropic')`
    : `import Anthropic from '@anthropic-ai/sdk'\nimport { openTrail } from 'counterfoil'\nimport { auditAnthropic } from 'counterfoil/anthropic'`
  return `${imports}

${language === 'cjs' ? 'const' : 'export const'} trail = openTrail('./agent_audit.db', { agent_id: 'my-agent', agent_version: '1.0.0' })
${language === 'cjs' ? 'const' : 'export const'} anthropic = auditAnthropic(new Anthropic(), trail)   // the SDK's own client, now on the record
${language === 'cjs' ? 'module.exports = { trail, anthropic }\n' : ''}
// one piece of work of the agent:
//   await trail.session({ user_id, user_message }, async () => {
//     const reply = await anthropic.messages.create({ model, max_tokens: 1024, messages })
//   })
`
}

function writeOnce(path: string, code: string): void {
  try {
    writeFileSync(path, code, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new MisuseError('file_exists', `cli: ${path} exists, and init changes nothing that is there`, 'name another file')
  }
}

function readJson(path: string): { [name: string]: unknown } | undefined {
  if (!existsSync(path)) return undefined
  try {
    return record(JSON.parse(readFileSync(path, 'utf8')))
  } catch (cause) {
    throw new MisuseError('bad_package', `cli: ${path} is not JSON: ${(cause as Error).message}`, 'correct it first')
  }
}

function record(value: unknown): { [name: string]: unknown } {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
