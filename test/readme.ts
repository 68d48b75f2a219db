// README.md as programs and expectations. A fence that opens with `ts file=NAME` is a file; one that opens with `console`
// is a terminal: lines after `$ ` are commands, what follows is their output, and a line of `…` stands for any lines.

/** A file the README shows. */
export type Snippet = { file: string; text: string }
/** A command the README shows, with the output it shows for it. */
export type Command = { line: string; output: string }
export type Readme = { snippets: Snippet[]; commands: Command[] }

/** Reads the fenced blocks. TypeScript without a file name is an error: nobody would run it. */
export function parseReadme(markdown: string): Readme {
  const readme: Readme = { snippets: [], commands: [] }
  for (const [, info = '', text = ''] of markdown.matchAll(/^```([^\n]*)\n(.*?)^```$/gms)) {
    const [language, ...words] = info.trim().split(/\s+/)
    const file = words.find((word) => word.startsWith('file='))?.slice(5)
    if (language === 'ts' && !file) throw new Error(`README.md: a ts block has no file=NAME, so it is never run: ${text.split('\n')[0]}`)
    if (language === 'ts' && file) readme.snippets.push({ file, text })
    if (language === 'console') readme.commands.push(...parseTerminal(text))
  }
  return readme
}

function parseTerminal(text: string): Command[] {
  return text.split(/^\$ /m).slice(1).map((part) => {
    const [line = '', ...output] = part.split('\n')
    return { line, output: output.join('\n').trim() }
  })
}

/** What of an output is the same in each run: ids, hashes, times and durations give way to their kind. */
export function normalise(output: string): string {
  return output
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, 'ID')
    .replaceAll(/\b[A-Za-z0-9+/]{43}=/g, 'HASH')
    .replaceAll(/\b\d{4}-\d\d-\d\d\b/g, 'DATE')
    .replaceAll(/\b\d\d:\d\d:\d\d(\.\d+)?Z?\b/g, 'TIME')
    .replaceAll(/\b[0-9a-f]{4,}…/g, 'ID…')
    .replaceAll(/\b[0-9a-f]{6,}\b/g, 'ID')
    .replaceAll(/\b\d+(\.\d+)? (?:ms|s|min)\b/g, 'N time')
    .replaceAll(/\b\d+(\.\d+)? (KB|MB)\b/g, 'N $2')
    .replaceAll(/\b\d+\.\d{2,3}\b/g, 'N')
    .replaceAll(/[ \t]+/g, ' ')
    .replaceAll(/ $/gm, '')
    .trim()
}

/** Whether `actual` is what the README shows; `…` on a line of its own stands for any lines. */
export function shows(expected: string, actual: string): boolean {
  const pattern = normalise(expected).split('\n').map((line) => (line.trim() === '…' ? '(?:.*\\n)*?.*' : line.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')))
  return new RegExp(`^${pattern.join('\\n')}$`).test(normalise(actual))
}
