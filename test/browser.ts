// The system's Chromium, offline: a page is opened from a file, and whatever it asks for besides, logs as an error, or breaks of its policy is a fault.

import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

/** The executable, `$CHROMIUM` or one on the path; undefined where there is none. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM) return CHROMIUM
  for (const folder of PATH.split(delimiter)) for (const name of ['chromium', 'chromium-browser', 'google-chrome']) if (folder !== '' && existsSync(join(folder, name))) return join(folder, name)
  return undefined
}

/** Containers run tests as root, where Chromium's own sandbox refuses to. */
export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
}

export interface Opened { readonly page: Page; readonly faults: string[]; close(): Promise<void> }

/** A page of its own, offline. `faults` grows while it is open. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Opened & { go(file: string): Promise<void> }> {
  const context = await browser.newContext({ offline: true, ...options })
  const page = await context.newPage()
  const faults: string[] = []
  let at = ''
  page.on('request', (request) => { if (request.url() !== at) faults.push(`asked for ${request.url()}`) })
  page.on('console', (message) => { if (message.type() === 'error' || message.type() === 'warning') faults.push(`console: ${message.text()}`) })
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`))
  await page.addInitScript("addEventListener('securitypolicyviolation', ({ violatedDirective }) => console.error(`policy: ${violatedDirective}`))")
  return {
    page, faults,
    async go(file) {
      at = pathToFileURL(file).href
      await page.goto(at)
    },
    close: () => context.close(),
  }
}
