// counterfoil docs TOPIC: the pages that came with this version.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Command } from 'commander'
import { MisuseError } from '../../base/errors.ts'
import type { Context } from '../context.ts'
import { packageFolder } from '../package.ts'
import { bold, grey, pad } from '../terminal.ts'

export function docsCommand(program: Command, context: () => Context): void {
  program.command('docs')
    .description('read the documentation of this version')
    .argument('[topic]', 'a page; without one, the list')
    .addHelpText('after', `
Examples:
  $ counterfoil docs
  $ counterfoil docs cli
  $ counterfoil docs format | less`)
    .action((topic: string | undefined) => {
      const ctx = context()
      const pages = findPages()
      if (topic === undefined) {
        if (ctx.json) return ctx.screen.json(Object.fromEntries(pages))
        for (const [name, path] of pages) ctx.screen.line('  ', bold(pad(name, 12)), ' ', grey(titleOf(path)))
        return
      }
      const path = pages.get(topic.toLowerCase().replace(/\.md$/, ''))
      if (path === undefined) throw new MisuseError('no_topic', `cli: there is no page ${JSON.stringify(topic)}`, `there are: ${[...pages.keys()].join(', ')}`)
      ctx.screen.text(readFileSync(path, 'utf8'))
    })
}

/** Page name to path: `docs/*.md` of the package, and its readme and news. */
export function findPages(root: string = packageFolder()): Map<string, string> {
  const top = ['README.md', 'NEWS.md'].filter((name) => existsSync(join(root, name))).map((name) => join(root, name))
  const folder = join(root, 'docs')
  const pages = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.md')).sort().map((name) => join(folder, name)) : []
  return new Map([...pages, ...top].map((path) => [basename(path, '.md').toLowerCase(), path]))
}

function titleOf(path: string): string {
  return readFileSync(path, 'utf8').split('\n').find((line) => line.startsWith('# '))?.slice(2) ?? ''
}
