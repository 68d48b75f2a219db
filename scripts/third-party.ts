// What other people's code is inside the built package: their licences in one text, and a CycloneDX 1.6 bill of
// materials. Both are read off the bundler's own list of inputs, so nothing bundled can be missing.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Metafile } from 'esbuild'

/** One package of which at least one file is in the bundle. */
export type BundledPackage = { name: string; version: string; license: string; homepage?: string; licenseText: string; sha512?: string }

/** The packages from which `metafiles` took any bytes, by name. */
export function bundledPackages(root: string, metafiles: readonly Metafile[]): BundledPackage[] {
  const folders = new Set<string>()
  for (const { outputs } of metafiles) {
    for (const { inputs } of Object.values(outputs)) {
      for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
        const folder = packageFolder(file)
        if (folder !== undefined && bytesInOutput > 0) folders.add(folder)
      }
    }
  }
  const locked = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
  return [...folders].toSorted().map((folder) => readPackage(join(root, folder), locked[folder]?.integrity))
}

/** The folder of the package a file belongs to: `node_modules/@a/b` of `node_modules/@a/b/c.js`; undefined for our own. */
export function packageFolder(file: string): string | undefined {
  return /^(.*\bnode_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]
}

function readPackage(folder: string, integrity: string | undefined): BundledPackage {
  const { name, version, license, homepage } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|$)/i.test(entry))
  if (typeof license !== 'string' || file === undefined) throw new Error(`build: ${name} has no licence to pass on; do not bundle it`)
  const sha512 = integrity?.startsWith('sha512-') ? Buffer.from(integrity.slice(7), 'base64').toString('hex') : undefined
  return { name, version, license, ...(homepage ? { homepage } : {}), licenseText: readFileSync(join(folder, file), 'utf8').trim(), ...(sha512 ? { sha512 } : {}) }
}

/** The licence texts, one after the other. */
export function formatLicenses(packages: readonly BundledPackage[]): string {
  const opening = 'This package contains code of the following packages.\n'
  return [opening, ...packages.map(({ name, version, license, licenseText }) => `${'-'.repeat(78)}\n${name} ${version} (${license})\n\n${licenseText}\n`)].join('\n')
}

/** The bill of materials; the same packages give the same bytes. */
export function formatBom(packages: readonly BundledPackage[], self: { name: string; version: string; license: string }): string {
  const bom = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: component('application', self) },
    components: packages.map((entry) => component('library', entry)),
    dependencies: [{ ref: purl(self), dependsOn: packages.map(purl) }, ...packages.map((entry) => ({ ref: purl(entry) }))],
  }
  return `${JSON.stringify(bom, null, 2)}\n`
}

function component(type: string, { name, version, license, sha512 }: { name: string; version: string; license: string; sha512?: string }): object {
  return {
    type,
    'bom-ref': purl({ name, version }),
    name,
    version,
    purl: purl({ name, version }),
    licenses: [/ (OR|AND|WITH) /.test(license) ? { expression: license } : { license: { id: license } }],
    ...(sha512 ? { hashes: [{ alg: 'SHA-512', content: sha512 }] } : {}),
  }
}

function purl({ name, version }: { name: string; version: string }): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`
}
