// The script of an evidence page: verifies the bundle in its own page and shows it. It says of its page what it can, and that a forged page could say
// the same: who must be sure verifies the file with a program from elsewhere.

import { CounterfoilError, messageOf, MisuseError } from '../base/errors.ts'
import { bundleIn } from '../verify/bundle-text.ts'
import { verifyBundle, type OpenedBundle } from '../verify/bundle.ts'
import { dom, element, foreign, type DomNode } from './dom.ts'
import { EventList } from './event-list.ts'
import { makePage, TITLE } from './page.ts'
import { summaryOf } from './summary.ts'
import { VerdictBox } from './verdict-box.ts'

const code = dom.currentScript?.textContent ?? ''
if (dom.readyState === 'loading') dom.addEventListener('DOMContentLoaded', begin)
else begin()

/** The whole document is there, and untouched by us: now it can be compared. */
function begin(): void {
  const main = dom.getElementById('page') ?? dom.body
  const found = `<!doctype html>\n${dom.documentElement.outerHTML}`
  main.replaceChildren(element('h1', '', TITLE), element('p', '', 'Verifying, in this browser…'))
  setTimeout(() => { // once that is painted: a long session takes a moment
    let json: string
    try {
      json = bundleIn(found)
    } catch (error) {
      main.replaceChildren(element('h1', '', TITLE), refused(error))
      return
    }
    show(main, json, changedAt(found, makePage(json, code)))
  }, 20)
}

function show(main: DomNode, json: string, changed: string | undefined): void {
  let opened: OpenedBundle
  try {
    opened = verifyBundle(json)
  } catch (error) {
    main.replaceChildren(element('h1', '', TITLE), refused(error))
    return
  }
  const list = new EventList(opened)
  const box = new VerdictBox(opened.verdict, changed, (index) => list.goTo(index), (key) => {
    try {
      return verifyBundle(json, { key }).verdict
    } catch (error) {
      if (error instanceof MisuseError) return messageOf(error)
      throw error
    }
  })
  main.replaceChildren(element('h1', '', TITLE), ...summaryOf(opened), box.node, list.node)
  list.start()
}

/** What is no bundle, or one of a later format: nothing of it can be shown. */
function refused(error: unknown): DomNode {
  const newer = error instanceof CounterfoilError && error.code === 'newer_format'
  return element('section', 'verdict bad', element('h2', '', 'NOT VERIFIED'), foreign('p', 'failed', messageOf(error)), element('p', '', newer ? 'The record is of a later format than this page knows. That is no sign of tampering.' : 'This file is not as Counterfoil writes it, and nothing in it can be relied on. Ask for it again, by another way.'))
}

/** Where the page is another than the one that Counterfoil writes around this evidence. */
function changedAt(found: string, written: string): string | undefined {
  if (found === written) return undefined
  let at = 0
  while (at < found.length && found[at] === written[at]) at++
  return `from character ${at} on, at “${found.slice(Math.max(0, at - 24), at + 24)}”`
}
