// The HTML page around a bundle. What counts is the JSON in it; the script only shows and verifies it. The policy lets the page load
// nothing from anywhere, and run nothing but this one script. Each character stands as a browser writes a document out again
// (`outerHTML`), so that the script can compare the page it finds itself in with the one that this function makes.

import { sha256 } from '#crypto'
import { toBase64, utf8 } from '../base/bytes.ts'
import { bundleBlock } from '../verify/bundle-text.ts'
import { STYLE } from './style.ts'

export const TITLE = 'Evidence: one session of an AI agent'

/** The page of a bundle's JSON text with the script of `pageScript`. */
export function makePage(json: string, script: string): string {
  // a script must not end its own element, open a comment, or hold what looks like another element (only its strings do)
  const code = script.trim().replaceAll('</', '<\\/').replaceAll('<!--', '<\\!--').replaceAll(/<(?=script[ >])/g, '\\x3c')
  const policy = `default-src 'none'; script-src ${hashOf(code)}; style-src ${hashOf(STYLE)}; base-uri 'none'; form-action 'none'`
  return `<!doctype html>
<html lang="en"><head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${TITLE}</title>
<style>${STYLE}</style>
</head>
<body>
<main id="page">
<h1>${TITLE}</h1>
<p><strong>Nothing is verified on this page yet.</strong></p>
<p>If these words stay, its script did not run: this browser runs no scripts, or the page was changed. The evidence in the file can be checked without the page, by a program that you got from elsewhere: <code>counterfoil verify FILE --key KEY</code></p>
</main>
${bundleBlock(json)}
<script>${code}</script>
</body></html>`
}

function hashOf(code: string): string {
  return `'sha256-${toBase64(sha256(utf8(code)))}'`
}
