// The page that is handed out, from a bundle's JSON text.

import { parseBundle } from '../verify/bundle-text.ts'
import { makePage } from './page.ts'
import { pageScript } from './script.ts'

/** The HTML page that shows and verifies `json`, the text that `trail.export` gives. A VerifyError `bundle_malformed` for any other. */
export async function evidencePage(json: string): Promise<string> {
  parseBundle(json)
  return makePage(json, await pageScript())
}
