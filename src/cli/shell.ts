// Words of a shell's command line, for commands that people copy.

/** `text` as one word: as it is where the shell takes it so, else in single quotes. */
export function shellQuoted(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}
