// The browser's document, as much as the page uses of it, and how an element is made: what comes from the record goes in as text, never as HTML.

import { pieces } from './content.ts'

export interface DomNode {
  readonly outerHTML: string
  textContent: string | null
  className: string
  id: string
  value: string
  checked: boolean
  append(...nodes: (DomNode | string)[]): void
  replaceChildren(...nodes: (DomNode | string)[]): void
  setAttribute(name: string, value: string): void
  addEventListener(type: string, listener: (event: { preventDefault(): void }) => void): void
  remove(): void
  replaceWith(node: DomNode): void
  focus(): void
  scrollIntoView(options: { readonly block: 'start' }): void
}

interface Dom {
  readonly documentElement: DomNode
  readonly body: DomNode
  readonly currentScript: DomNode | null
  readonly readyState: string
  createElement(tag: string): DomNode
  getElementById(id: string): DomNode | null
  addEventListener(type: string, listener: () => void): void
}

const browser = globalThis as unknown as { document: Dom; addEventListener(type: string, listener: () => void): void }
export const dom: Dom = browser.document

/** Calls `listener` before the page is printed. */
export function beforePrint(listener: () => void): void {
  browser.addEventListener('beforeprint', listener)
}

/** An element with nodes of ours in it. Strings are our own words. */
export function element(tag: string, className = '', ...inside: (DomNode | string)[]): DomNode {
  const node = dom.createElement(tag)
  if (className !== '') node.className = className
  node.append(...inside)
  return node
}

/** An element with text that somebody else wrote: what would act or hide is written out, and marked, so that it is told from text that only looks so. */
export function foreign(tag: string, className: string, text: string): DomNode {
  const node = element(tag, className, ...pieces(text).map((piece) => (typeof piece === 'string' ? piece : element('span', 'escape', piece.escape))))
  node.setAttribute('dir', 'auto')
  return node
}

/** A button that does `act`. */
export function button(text: string, act: () => void): DomNode {
  const node = element('button', '', text)
  node.setAttribute('type', 'button')
  node.addEventListener('click', act)
  return node
}
