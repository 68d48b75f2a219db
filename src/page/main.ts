// The script of an evidence page: verifies the bundle in its own page and shows it. Everything from the record goes in as text, never as HTML.

import { utf8 } from '../base/bytes.ts'
import { messageOf } from '../base/errors.ts'
import type { Entry } from '../event/entry.ts'
import { verifyBundle, type BundleContent, type BundleVerdict, type OpenedBundle } from '../verify/bundle.ts'
import type { Status } from '../verify/verdict.ts'
import { contentText } from './content.ts'

/** Of a long session, how many events are put on the page at once. */
const AT_ONCE = 500

/** What the page needs of the DOM. */
interface Node { textContent: string | null; className: string; append(...nodes: Node[]): void; replaceChildren(...nodes: Node[]): void; setAttribute(name: string, value: string): void; addEventListener(type: string, listener: (event: { preventDefault(): void }) => void): void; remove(): void; value?: string }
declare const document: { createElement(tag: string): Node; getElementById(id: string): Node | null }

const json = document.getElementById('counterfoil-bundle')?.textContent ?? ''
const main = document.getElementById('page')!
show('')

function show(key: string): void {
  let opened: OpenedBundle
  try {
    opened = verifyBundle(json, key === '' ? {} : { key })
  } catch (error) {
    main.replaceChildren(element('h1', '', 'Evidence of one session'), box('bad', 'NOT VERIFIED', [element('p', '', messageOf(error))], key))
    return
  }
  const { verdict, entries } = opened
  const list = element('ol', '')
  main.replaceChildren(
    element('h1', '', 'Evidence of one session'),
    element('p', 'soft mono', verdict.session_id), element('p', 'soft', `of the log ${verdict.origin}, ${verdict.size} entries`),
    verdictBox(verdict, key), element('h2', '', 'What happened'), list,
  )
  more(opened, list, entries.filter(({ session_id }) => session_id === verdict.session_id), 0)
}

function verdictBox(verdict: BundleVerdict, key: string): Node {
  const rows = element('dl', '')
  const order: readonly Status[] = ['failed', 'proved', 'asserted', 'unknown']
  for (const status of order) for (const property of Object.values(verdict.properties)) if (property.status === status) rows.append(element('dt', status, status), element('dd', '', property.says))
  rows.append(element('dt', 'unknown', 'unknown'), element('dd', '', 'acts that were never recorded'))
  if (!verdict.whole) return box('bad', 'NOT WHOLE', [rows], key)
  return key === '' ? box('open', 'Consistent, unpinned: whose log this is was not checked', [rows], key) : box('good', 'Whole, under the key that you trust', [rows], key)
}

function box(kind: string, title: string, inside: Node[], key: string): Node {
  const form = element('form', '')
  const input = element('input', 'mono')
  input.setAttribute('aria-label', "the log's verifier key, as you know it from elsewhere")
  input.setAttribute('placeholder', 'Paste the key that you trust (name+id+base64)')
  input.value = key
  const button = element('button', '', 'Check')
  form.append(input, button)
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    show((input.value ?? '').trim())
  })
  const node = element('section', `verdict ${kind}`)
  node.append(element('strong', '', title), ...inside, form)
  return node
}

function more(opened: OpenedBundle, list: Node, entries: readonly Entry[], from: number): void {
  const contents = new Map<number, BundleContent[]>()
  for (const content of opened.contents) {
    const own = contents.get(content.index) ?? []
    contents.set(content.index, own)
    own.push(content)
  }
  for (const entry of entries.slice(from, from + AT_ONCE)) list.append(eventItem(entry, contents.get(entry.index) ?? []))
  if (from + AT_ONCE >= entries.length) return
  const button = element('button', '', `Show more (${entries.length - from - AT_ONCE} left)`)
  button.addEventListener('click', () => {
    button.remove()
    more(opened, list, entries, from + AT_ONCE)
  })
  list.append(button)
}

function eventItem(entry: Entry, contents: readonly BundleContent[]): Node {
  const item = element('li', '')
  const head = element('div', 'head')
  head.append(element('span', 'mono soft', `#${entry.index}`), element('span', 'mono soft', entry.timestamp), element('span', 'type', entry.event_type), element('span', '', entry.outcome ?? ''))
  const facts = Object.entries(entry.facts).map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' · ')
  item.append(head, element('div', 'facts mono', facts))
  for (const [slot, value] of Object.entries(entry.payloads)) if ('same' in value) item.append(element('div', 'payload soft', `${slot}: as in event ${value.same} of this session`))
  for (const content of contents) {
    const node = element('div', 'payload')
    const name = `${content.slot}${content.position > 0 ? ` ${content.position}` : ''}`
    if ('bytes' in content) node.append(element('span', 'proved', `${name} · matches its commitment`), element('pre', '', contentText(content.bytes)))
    else node.append(element('span', content.absent === 'mismatch' ? 'failed' : 'soft', `${name} · ${content.absent === 'erased' ? `erased by entry #${content.by}` : content.absent === 'withheld' ? 'withheld: not in this file' : 'is not what the entry commits to'}`))
    item.append(node)
  }
  return item
}

function element(tag: string, className: string, text = ''): Node {
  const node = document.createElement(tag)
  node.className = className
  if (text !== '') node.textContent = text
  return node
}

// so that a page without a bundle says so instead of failing on an empty text
if (utf8(json).length === 0) main.replaceChildren(element('p', 'failed', 'this page holds no bundle'))
