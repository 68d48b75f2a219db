// The HTML page around a bundle. What counts is the JSON in it; the script only shows and verifies it. The policy lets the page load
// nothing from anywhere, and run nothing but this one script.

import { sha256 } from '#crypto'
import { toBase64, utf8 } from '../base/bytes.ts'
import { bundleBlock } from '../verify/bundle-text.ts'
import { STYLE } from './style.ts'

/** The page of a bundle's JSON text with the script of `pageScript`. */
export function makePage(json: string, script: string): string {
  // a script must not end its own element, nor open a comment
  const code = script.trim().replaceAll('</', '<\\/').replaceAll('<!--', '<\\!--')
  const policy = `default-src 'none'; script-src ${hashOf(code)}; style-src ${hashOf(STYLE)}; base-uri 'none'; form-action 'none'`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Counterfoil evidence</title>
<style>${STYLE}</style>
<main id="page"><h1>Evidence of one session</h1>
<p>This file proves itself: open it in a browser that runs scripts, or run <code>counterfoil verify FILE --key VKEY</code>.</p></main>
${bundleBlock(json)}
<script>${code}</script>
</html>
`
}

function hashOf(code: string): string {
  return `'sha256-${toBase64(sha256(utf8(code)))}'`
}
