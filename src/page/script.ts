// Where the page's script comes from: from the sources it is bundled when it is asked for; in the built package this module is replaced by
// one that holds the bundled script as a string (scripts/build.ts).

let bundled: Promise<string> | undefined

/** The code that an evidence page runs, one classic script. */
export function pageScript(): Promise<string> {
  return (bundled ??= bundle())
}

async function bundle(): Promise<string> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [new URL('./main.ts', import.meta.url).pathname], bundle: true, platform: 'browser', format: 'iife', target: ['es2022'], minify: true, charset: 'ascii', write: false, legalComments: 'none', logLevel: 'warning',
  })
  return outputFiles[0]!.text
}
