// The events, in slices so that the page answers meanwhile, and a filter over all of them. Rows that are not on screen cost no layout (style.ts), and
// stay findable with the browser's own search.

import { isListChange, isSameRef, type Entry } from '../event/entry.ts'
import { ListIndex } from '../event/list.ts'
import type { BundleContent, OpenedBundle } from '../verify/bundle.ts'
import type { Problem } from '../verify/verdict.ts'
import { contentText } from './content.ts'
import { beforePrint, button, element, foreign, type DomNode } from './dom.ts'
import { EVENT_TITLES } from './event-titles.ts'
import { count, moment, plural } from './summary.ts'

/** Rows put on the page by themselves; the rest at the press of a button. */
const AT_ONCE = 20_000
const SLICE_MS = 12
/** A shorter list is laid out at once. */
const LAID_OUT = 200
/** Of a longer text, this much is shown until the rest is asked for. */
const SHOWN_LENGTH = 20_000
const TYPING_MS = 150

/** An entry of the file, or only its place where it could not be read. */
interface Row { readonly index: number; readonly entry: Entry | undefined; readonly contents: readonly BundleContent[]; readonly problems: readonly Problem[]; searched?: string }

export class EventList {
  readonly node: DomNode
  readonly #opened: OpenedBundle
  readonly #rows: readonly Row[]
  readonly #bySeq = new Map<number, Entry>()
  readonly #contentAt = new Map<string, BundleContent>()
  readonly #list = element('ol', 'events')
  readonly #told = element('p', 'soft')
  readonly #search = element('input')
  readonly #only = element('input')
  readonly #items = new Map<number, DomNode>()
  #shown: readonly Row[]
  #next = 0
  #until = AT_ONCE
  #run = 0
  #lists: ListIndex | undefined
  #more: DomNode | undefined

  constructor(opened: OpenedBundle) {
    this.#opened = opened
    this.#rows = rowsOf(opened)
    this.#shown = this.#rows
    for (const entry of opened.entries) if (entry.session_id === opened.verdict.session_id) this.#bySeq.set(entry.seq, entry)
    for (const content of opened.contents) this.#contentAt.set(`${content.index} ${content.slot} ${content.position}`, content)
    this.node = element('section', '', element('h2', '', 'What happened'), this.#filter(), this.#told, this.#list)
    this.#told.setAttribute('role', 'status')
    beforePrint(() => this.#fill(Infinity))
  }

  start(): void {
    this.#show(this.#rows)
  }

  /** Shows the entry, whatever the filter is, and goes there. */
  goTo(index: number): void {
    if (!this.#shown.some((row) => row.index === index)) {
      this.#search.value = ''
      this.#only.checked = false
      this.#show(this.#rows)
    }
    this.#until = Math.max(this.#until, this.#shown.findIndex((row) => row.index === index) + 1)
    this.#fill(Infinity, index)
    const item = this.#items.get(index)
    item?.scrollIntoView({ block: 'start' })
    item?.focus()
  }

  #filter(): DomNode {
    this.#search.id = 'find'
    this.#search.setAttribute('type', 'search')
    const label = element('label', '', 'Find in all events')
    label.setAttribute('for', 'find')
    this.#only.id = 'only'
    this.#only.setAttribute('type', 'checkbox')
    const onlyLabel = element('label', '', 'Only with content in this file')
    onlyLabel.setAttribute('for', 'only')
    let timer = 0
    const changed = (): void => {
      clearTimeout(timer)
      timer = setTimeout(() => this.#find(), TYPING_MS) as unknown as number
    }
    this.#search.addEventListener('input', changed)
    this.#only.addEventListener('change', changed)
    const form = element('form', 'find', label, this.#search, element('span', 'tick', this.#only, onlyLabel))
    form.setAttribute('role', 'search')
    form.addEventListener('submit', (event) => event.preventDefault())
    return form
  }

  #find(): void {
    const words = this.#search.value.toLowerCase().trim()
    const only = this.#only.checked
    this.#show(words === '' && !only ? this.#rows : this.#rows.filter((row) => (!only || row.contents.some((content) => 'bytes' in content)) && (words === '' || searched(row).includes(words))))
  }

  #show(rows: readonly Row[]): void {
    const run = ++this.#run
    this.#shown = rows
    this.#next = 0
    this.#until = AT_ONCE
    this.#items.clear()
    this.#list.className = rows.length > LAID_OUT ? 'events long' : 'events'
    this.#list.replaceChildren()
    const step = (): void => {
      if (run !== this.#run) return
      this.#fill(performance.now() + SLICE_MS)
      if (this.#next < Math.min(this.#until, rows.length)) setTimeout(step)
    }
    step()
  }

  /** Adds rows until `time`, or until the one of the entry `index` is there. */
  #fill(time: number, index = -1): void {
    this.#more?.remove()
    const most = Math.min(this.#until, this.#shown.length)
    while (this.#next < most && performance.now() < time && !this.#items.has(index)) {
      const row = this.#shown[this.#next++]!
      const item = this.#item(row)
      this.#items.set(row.index, item)
      this.#list.append(item)
    }
    const all = this.#shown.length === this.#rows.length
    const rest = this.#shown.length - this.#until
    this.#told.textContent = `${all ? '' : `${count(this.#shown.length)} of `}${plural(this.#rows.length, 'event')}${rest > 0 ? `, the first ${count(this.#until)} shown` : ''}`
    if (this.#next < most || rest <= 0) return
    this.#more = button(`Show ${count(Math.min(AT_ONCE, rest))} more`, () => {
      this.#until += AT_ONCE
      this.#fill(Infinity)
    })
    this.#list.append(this.#more)
  }

  #item({ index, entry, contents, problems }: Row): DomNode {
    const item = element('li', problems.length > 0 ? 'bad' : '')
    item.id = `e${index}`
    item.setAttribute('tabindex', '-1')
    const title = entry === undefined ? 'An entry that cannot be read' : (EVENT_TITLES[entry.event_type] ?? entry.event_type)
    const head = element('div', 'head', element('span', 'mono soft', `#${index}`))
    item.append(head)
    if (entry === undefined) head.append(element('strong', 'failed', title))
    else {
      const tool = entry.facts['tool_name']
      head.append(foreign('strong', '', typeof tool === 'string' ? `${title}: ${tool}` : title), foreign('span', 'mono soft', entry.event_type), foreign('span', entry.outcome === 'failure' ? 'failed' : 'soft', entry.outcome ?? ''), foreign('span', 'mono soft', moment(entry.timestamp)))
      const facts = Object.entries(entry.facts).filter(([name]) => name !== 'tool_name').map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' · ')
      if (facts !== '') item.append(foreign('div', 'facts mono', facts))
    }
    for (const { message } of problems) item.append(foreign('div', 'failed', message))
    if (entry !== undefined && entry.session_id === this.#opened.verdict.session_id) item.append(...this.#inherited(entry))
    item.append(...contents.flatMap((content) => ('bytes' in content || (content.absent === 'mismatch' && !problems.some(({ code }) => code === 'commitment')) ? [contentNode(content, entry)] : [])), ...absentLines(contents, entry))
    return item
  }

  /** What an entry has of earlier ones: the same payload, or the beginning of a list. */
  #inherited(entry: Entry): DomNode[] {
    return Object.entries(entry.payloads).flatMap(([slot, value]) => {
      if (isSameRef(value)) return [element('div', 'soft', foreign('span', '', slot), ': the same as in ', this.#link(value.same))]
      if (!isListChange(value) || value.base === undefined) return []
      const line = element('div', 'soft', foreign('span', '', slot), `: ${count(value.count)} in all, ${count(value.keep ?? 0)} of them as in `, this.#link(value.base), `, ${count(value.add.length)} new. `)
      const all = button(`Show all ${count(value.count)}`, () => all.replaceWith(this.#wholeList(entry, slot)))
      line.append(all)
      return [line]
    })
  }

  #link(seq: number): DomNode | string {
    const entry = this.#bySeq.get(seq)
    if (entry === undefined) return `event ${seq} of the session, which is not here`
    const link = element('a', '', `#${entry.index}`)
    link.setAttribute('href', `#e${entry.index}`)
    link.addEventListener('click', (event) => {
      event.preventDefault()
      this.goTo(entry.index)
    })
    return link
  }

  /** A list as the event had it, each element with the entry that brought it. */
  #wholeList(entry: Entry, slot: string): DomNode {
    try {
      if (this.#lists === undefined) {
        const lists = new ListIndex()
        for (const each of this.#bySeq.values()) lists.add(each)
        this.#lists = lists
      }
      return element('div', 'whole', ...this.#lists.places(entry.seq, slot).map((place, i) => {
        const content = this.#contentAt.get(`${place.index} ${place.slot} ${place.position}`)
        const name = `${slot} ${i}, brought by #${place.index}`
        if (content === undefined) return element('div', 'failed', `${name}: not in this file's list of payloads`)
        return 'bytes' in content ? textNode(`${name} · matches its commitment`, contentText(content.bytes)) : element('div', 'soft', `${name}: ${absence(content)}`)
      }))
    } catch {
      return element('div', 'failed', 'The list cannot be put together: entries before it do not fit.')
    }
  }
}

function rowsOf({ verdict, entries, contents }: OpenedBundle): Row[] {
  const contentsOf = groupBy(contents, ({ index }) => index)
  const problemsOf = groupBy(verdict.problems.filter(({ index }) => index !== undefined), ({ index }) => index!)
  const byIndex = new Map<number, Entry>(entries.map((entry) => [entry.index, entry]))
  return [...new Set([...byIndex.keys(), ...problemsOf.keys()])].sort((a, b) => a - b).map((index) => ({ index, entry: byIndex.get(index), contents: contentsOf.get(index) ?? [], problems: problemsOf.get(index) ?? [] }))
}

function groupBy<T>(all: readonly T[], key: (one: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const one of all) {
    const group = groups.get(key(one))
    if (group === undefined) groups.set(key(one), [one])
    else group.push(one)
  }
  return groups
}

function searched(row: Row): string {
  const { index, entry, contents, problems } = row
  return (row.searched ??= [
    `#${index}`, ...(entry === undefined ? [] : [EVENT_TITLES[entry.event_type] ?? '', entry.event_type, entry.timestamp, moment(entry.timestamp), entry.outcome ?? '', entry.event_id, ...Object.entries(entry.facts).map(([name, value]) => `${name}: ${typeof value === 'object' ? JSON.stringify(value) : value}`)]),
    ...contents.map((content) => ('bytes' in content ? contentText(content.bytes) : content.slot)), ...problems.map(({ message }) => message),
  ].join('\n').toLowerCase())
}

/** `input_messages 3`: in a list, the position in the whole of it, which is also how `export --disclose` names it. */
function nameOf({ slot, position }: BundleContent, entry: Entry | undefined): string {
  const value = entry?.payloads[slot]
  return value !== undefined && isListChange(value) ? `${slot} ${(value.keep ?? 0) + position}` : slot
}

function contentNode(content: BundleContent, entry: Entry | undefined): DomNode {
  const name = nameOf(content, entry)
  return 'bytes' in content ? textNode(`${name} · matches its commitment`, contentText(content.bytes)) : foreign('div', 'failed', `${name} · is not what the entry commits to: it is not shown`)
}

function textNode(title: string, text: string): DomNode {
  const body = element('div', 'payload', foreign('div', 'proved', title))
  if (text.length <= SHOWN_LENGTH) {
    body.append(foreign('pre', '', text))
    return body
  }
  const cut = /[\ud800-\udbff]/.test(text[SHOWN_LENGTH - 1]!) ? SHOWN_LENGTH - 1 : SHOWN_LENGTH
  const start = foreign('pre', '', text.slice(0, cut))
  const rest = element('p', 'soft', `… cut here, after ${count(cut)} of ${count(text.length)} characters. `)
  rest.append(button('Show all of it', () => {
    rest.remove()
    start.remove()
    body.append(foreign('pre', '', text))
  }))
  body.append(start, rest)
  return body
}

function absence(content: BundleContent): string {
  if ('bytes' in content) return ''
  return content.absent === 'erased' ? `erased by entry #${content.by}` : content.absent === 'withheld' ? 'withheld: not in this file' : 'is not what the entry commits to'
}

/** One line for each reason, with what it holds for. */
function absentLines(contents: readonly BundleContent[], entry: Entry | undefined): DomNode[] {
  const names = new Map<string, string[]>()
  for (const content of contents) {
    if ('bytes' in content || content.absent === 'mismatch') continue
    const why = content.absent === 'erased' ? `Erased by entry #${content.by}: ` : 'Withheld, not in this file: '
    names.set(why, [...(names.get(why) ?? []), nameOf(content, entry)])
  }
  return [...names].map(([why, slots]) => foreign('div', 'soft', why + slots.join(', ')))
}
