// What was proved, what was not, and what to do next: under no key at first, and under the one that the reader gives.

import type { BundleVerdict } from '../verify/bundle.ts'
import type { Status } from '../verify/verdict.ts'
import { beforePrint, button, dom, element, foreign, type DomNode } from './dom.ts'

const ORDER: readonly Status[] = ['failed', 'proved', 'asserted', 'unknown']
const COMMAND = 'counterfoil verify FILE --key KEY'

export class VerdictBox {
  readonly node: DomNode = element('section', 'verdict')
  readonly #changed: string | undefined
  readonly #goTo: (index: number) => void
  readonly #check: (key: string) => BundleVerdict | string
  readonly #unpinned: BundleVerdict

  /** `changed` says where the page is not as Counterfoil writes it. `check` verifies under a key, or says why that is no key. */
  constructor(unpinned: BundleVerdict, changed: string | undefined, goTo: (index: number) => void, check: (key: string) => BundleVerdict | string) {
    this.#unpinned = unpinned
    this.#changed = changed
    this.#goTo = goTo
    this.#check = check
    this.node.setAttribute('aria-labelledby', 'verdict')
    this.#show(unpinned, '')
    beforePrint(() => dom.getElementById('signed')?.setAttribute('open', ''))
  }

  #show(verdict: BundleVerdict, key: string, fault?: string): DomNode {
    const { kind, title, lead } = conclusion(verdict, key !== '', this.#changed)
    const heading = element('h2', '', title)
    heading.id = 'verdict'
    heading.setAttribute('tabindex', '-1')
    this.node.className = `verdict ${kind}`
    this.node.replaceChildren(heading, element('p', '', lead), ...this.#changedPage(), rowsOf(verdict), ...this.#problems(verdict), this.#next(verdict, key, fault), keyDetails(verdict))
    return heading
  }

  #changedPage(): DomNode[] {
    if (this.#changed === undefined) return []
    return [foreign('p', 'failed', `This page is not as Counterfoil writes it, ${this.#changed}. A browser extension may have done that, or somebody who wants you to see something else.`)]
  }

  #problems({ problems, problem_count }: BundleVerdict): DomNode[] {
    if (problems.length === 0) return []
    const list = element('ul', '', ...problems.map(({ message, index }) => {
      const item = foreign('li', '', message)
      if (index !== undefined) item.append(' ', button(`Show #${index}`, () => this.#goTo(index)))
      return item
    }))
    return [element('h3', '', problem_count === 1 ? 'What does not fit' : `What does not fit: ${problem_count} places${problem_count > problems.length ? `, the first ${problems.length}` : ''}`), list]
  }

  #next(verdict: BundleVerdict, key: string, fault: string | undefined): DomNode {
    const steps = element('ol', 'steps')
    if (verdict.whole || key !== '') {
      const ask = verdict.properties.pinned.status === 'proved'
        ? ['The key is worth as much as the way by which you got it. It must not have come with this file.']
        : [element('strong', '', 'Find out who signed it. '), 'Anybody can make a file like this one with a key of their own. Ask whose log it should be for their key, by another way than this file (a call, a contract, their website), and paste it here:']
      steps.append(element('li', '', ...ask, this.#form(key, fault)))
    }
    steps.append(element('li', '', 'A forged page could say all this too. When much depends on it, verify the file with Counterfoil from a source of your own: ', element('code', '', COMMAND)))
    if (!verdict.whole && key === '') steps.append(element('li', '', 'Keep this file as it is, and ask for the evidence again, by another way.'))
    if (verdict.whole && verdict.counts.withheld > 0) steps.append(element('li', '', 'Ask for the withheld content that you need: what you get must match what is committed here.'))
    return element('div', 'next', element('h3', '', 'What to do next'), steps)
  }

  #form(key: string, fault: string | undefined): DomNode {
    const input = element('input', 'mono')
    input.id = 'key'
    for (const [name, value] of [['autocomplete', 'off'], ['spellcheck', 'false'], ['autocapitalize', 'none'], ['placeholder', 'name+id+base64']] as const) input.setAttribute(name, value)
    input.value = key
    const label = element('label', '', "The log's key")
    label.setAttribute('for', 'key')
    const form = element('form', '', label, input, element('button', '', 'Check'))
    if (fault !== undefined) {
      const told = foreign('p', 'failed', fault)
      told.id = 'key-fault'
      told.setAttribute('role', 'alert')
      input.setAttribute('aria-invalid', 'true')
      input.setAttribute('aria-describedby', 'key-fault')
      form.append(told)
    }
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const given = input.value.replaceAll(/\s+/g, '') // mail breaks long lines; a key has no blanks
      const checked = given === '' ? this.#unpinned : this.#check(given)
      if (typeof checked !== 'string') this.#show(checked, given).focus()
      else {
        this.#show(this.#unpinned, given, `That is no key: ${checked}`)
        dom.getElementById('key')?.focus()
      }
    })
    return form
  }
}

function conclusion(verdict: BundleVerdict, asked: boolean, changed: string | undefined): { kind: 'good' | 'open' | 'bad'; title: string; lead: string } {
  const pinned = asked ? verdict.properties.pinned.status : 'unknown'
  if (!verdict.whole) {
    const wrongKey = verdict.problems.every(({ code }) => code === 'key')
    if (wrongKey) return { kind: 'bad', title: 'NOT under the key that you gave', lead: 'Another key signed this. Either what you pasted is not the key of this log, or somebody else made the file. Compare it again with its owner.' }
    return { kind: 'bad', title: 'NOT WHOLE: this is not what was signed', lead: 'Something in the file is other than it was when it was signed, or is missing. What failed is named below with its place; nothing else in the file should be relied on.' }
  }
  if (changed !== undefined) return { kind: 'open', title: 'The evidence fits, but this page was changed', lead: 'What is said below was computed from the evidence; whether the page shows it as it is, it cannot know. Verify the file with a program of your own.' }
  if (pinned === 'proved') return { kind: 'good', title: 'Verified, under the key that you gave', lead: 'These events are in the log of the holder of that key, as they were signed.' }
  return { kind: 'open', title: 'Verified, but unpinned: who signed it is not checked yet', lead: 'Nothing here was changed since it was signed. Whose signature that is, this file cannot show by itself.' }
}

function rowsOf(verdict: BundleVerdict): DomNode {
  const rows = element('dl')
  const properties = Object.values(verdict.properties)
  for (const status of ORDER) for (const property of properties) if (property.status === status) rows.append(element('dt', status, status), foreign('dd', '', property.says))
  rows.append(element('dt', 'unknown', 'unknown'), element('dd', '', 'acts that were never recorded'))
  return rows
}

/** What a specialist copies. */
function keyDetails({ keys, checkpoint }: BundleVerdict): DomNode {
  const details = element('details', '', element('summary', '', 'The signed checkpoint, and the key found in this file'), foreign('pre', '', checkpoint), ...keys.map((key) => foreign('pre', '', key)))
  details.id = 'signed'
  return details
}
