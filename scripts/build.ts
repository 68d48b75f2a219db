// Builds the published package's dist/ from the sources: the doors and the command with their shared chunks, their
// declarations, and the papers on what is bundled (THIRD_PARTY_LICENSES, bom.json).
//
//   npm run build [-- DIRECTORY]

import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build as bundle, type BuildOptions, type Metafile, type Plugin } from 'esbuild'
import { rollup, type RollupLog } from 'rollup'
import { dts } from 'rollup-plugin-dts'
import { pageScript } from '../src/page/script.ts'
import { bundledPackages, formatBom, formatLicenses } from './third-party.ts'

const root = resolve(import.meta.dirname, '..')

/** The doors of the package, and the source file behind each. */
export const doors: Readonly<Record<string, string>> = {
  index: 'src/index.ts',
  anthropic: 'src/anthropic.ts',
  verify: 'src/verify.ts',
  page: 'src/page.ts',
  client: 'src/client.ts',
}

/** What went into each output file, as esbuild tells it; paths are relative to the repository. */
export type Built = { node: Metafile; browser: Metafile; worker: Metafile; part: Metafile; sender: Metafile }

const common: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  target: ['node22.18', 'es2024'],
  external: ['node:*'],
  metafile: true,
  write: false,
  legalComments: 'none',
  logLevel: 'warning',
}

/**
 * Code that `new Worker(code, { eval: true })` runs whatever the agent was started with: a worker inherits the flags of
 * its process, and under `--input-type=module` its code is a module, which has no `require`.
 */
const selfContained: BuildOptions = {
  format: 'iife',
  minify: true,
  banner: { js: '(require=>{' },
  footer: { js: "})(process.getBuiltinModule('node:module').createRequire(process.execPath))" },
}

/** Builds everything into `outdir`, which is emptied first. */
export async function build(outdir: string): Promise<Built> {
  rmSync(outdir, { recursive: true, force: true })
  mkdirSync(outdir, { recursive: true })
  const part = await bundle({ ...common, entryPoints: ['src/ledger/part-worker.ts'], platform: 'node', ...selfContained, outfile: 'part-worker.js' })
  const partAsString = threadAsString('part', part.outputFiles?.[0]?.text ?? '')
  const sender = await bundle({ ...common, entryPoints: ['src/client/sender-worker.ts'], platform: 'node', ...selfContained, outfile: 'sender-worker.js' })
  const worker = await bundle({ ...common, entryPoints: ['src/ledger/worker.ts'], platform: 'node', ...selfContained, outfile: 'worker.js', plugins: [partAsString] })
  const node = await bundle({
    ...common,
    entryPoints: { ...doors, cli: 'src/cli/main.ts' },
    platform: 'node',
    splitting: true, // one copy of what two doors share: their registries and `instanceof` depend on it
    chunkNames: 'chunks/[hash]',
    outdir,
    write: true,
    plugins: [threadAsString('worker', worker.outputFiles?.[0]?.text ?? ''), partAsString, threadAsString('sender', sender.outputFiles?.[0]?.text ?? ''), pageAsString(await pageScript()), withoutWebhooks],
  })
  makeExecutable(join(outdir, 'cli.js'))
  const browser = await bundle({ ...common, entryPoints: { 'verify.browser': 'src/verify.ts', 'client.browser': 'src/client.ts' }, platform: 'browser', target: ['es2024'], outdir, write: true })
  await declarations(outdir)
  const built = { node: node.metafile!, browser: browser.metafile!, worker: worker.metafile!, part: part.metafile!, sender: sender.metafile! }
  const packages = bundledPackages(root, Object.values(built))
  writeFileSync(join(outdir, 'THIRD_PARTY_LICENSES'), formatLicenses(packages))
  writeFileSync(join(outdir, 'bom.json'), formatBom(packages, JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))))
  return built
}

/** Replaces src/ledger/worker-source.ts, part-source.ts, or src/client/sender-source.ts by the thread's code itself, so that whoever bundles us cannot lose it. */
function threadAsString(name: 'worker' | 'part' | 'sender', code: string): Plugin {
  return {
    name: `${name}-as-string`,
    setup(build) {
      build.onLoad({ filter: new RegExp(`[/\\\\](ledger|client)[/\\\\]${name}-source\\.ts$`) }, () => ({
        contents: `export const ${name}Source = { code: ${JSON.stringify(code)} }`,
        loader: 'js',
      }))
    },
  }
}

/** The same for the script of evidence pages: the published package has no bundler. */
function pageAsString(code: string): Plugin {
  return {
    name: 'page-as-string',
    setup(build) {
      build.onLoad({ filter: /[/\\]page[/\\]script\.ts$/ }, () => ({
        contents: `export const pageScript = async () => ${JSON.stringify(code)}`,
        loader: 'js',
      }))
    },
  }
}

/** The demo's copy of Anthropic's SDK without the package by which it checks webhooks: we receive none, and that package brings no licence text. */
const withoutWebhooks: Plugin = {
  name: 'without-webhooks',
  setup(build) {
    build.onResolve({ filter: /^standardwebhooks$/ }, ({ path }) => ({ path, namespace: 'left-out' }))
    build.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'export class Webhook { constructor() { throw new Error("left out of this build") } }', loader: 'js' }))
  },
}

function makeExecutable(file: string): void {
  const code = readFileSync(file, 'utf8')
  if (!code.startsWith('#!')) writeFileSync(file, `#!/usr/bin/env node\n${code}`)
  chmodSync(file, 0o755)
}

/**
 * One declaration file per door, which stands alone and holds only what the door exports. What two doors share is in both: types are compared
 * by their shape, and a file of shared ones would export names that are nobody's business.
 */
async function declarations(outdir: string): Promise<void> {
  for (const [door, file] of Object.entries(doors)) {
    const plugin = dts({ tsconfig: join(root, 'tsconfig.json'), compilerOptions: { noEmit: false } })
    const bundled = await rollup({ input: { [door]: join(root, file) }, plugins: [plugin], external: [/^node:/], onwarn: failOnWarning })
    await bundled.write({ dir: outdir, format: 'es', entryFileNames: '[name].d.ts', minifyInternalExports: false })
    await bundled.close()
  }
}

function failOnWarning(warning: RollupLog): void {
  if (warning.code === 'EMPTY_BUNDLE' || warning.code === 'CIRCULAR_DEPENDENCY') return
  throw new Error(`build: declarations: ${warning.message}`)
}

if (import.meta.main) {
  const outdir = resolve(process.argv[2] ?? join(root, 'dist'))
  const { node, browser } = await build(outdir)
  for (const [file, { bytes }] of [...Object.entries(node.outputs), ...Object.entries(browser.outputs)]) {
    console.log(`${String(Math.ceil(bytes / 1024)).padStart(6)} KB  ${relative(outdir, resolve(root, file))}`)
  }
}
