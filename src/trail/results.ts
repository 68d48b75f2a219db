// What a query gives back: pages behind an async iterator.

export interface Page<T> { readonly items: readonly T[]; readonly next: string | null }

/** Results that are read as they are asked for. Iterate them, or take a page, the first, all, or only their count. */
export interface Results<T> extends AsyncIterable<T> {
  /** At most `size` items (default 100, at most 1,000) after `cursor`, and the cursor of the next page. */
  page(options?: { readonly size?: number; readonly cursor?: string }): Promise<{ items: T[]; next: string | null }>
  first(): Promise<T | undefined>
  all(): Promise<T[]>
  count(): Promise<number>
}

const PAGE = 100
const MAX_PAGE = 1_000

/** Results from a function that reads one page. */
export function resultsOf<T>(read: (size: number, cursor: string | undefined) => Promise<Page<T>>): Results<T> {
  async function* iterate(): AsyncGenerator<T> {
    let cursor: string | undefined
    do {
      const page = await read(MAX_PAGE, cursor)
      yield* page.items
      cursor = page.next ?? undefined
    } while (cursor !== undefined)
  }
  return {
    [Symbol.asyncIterator]: iterate,
    async page({ size = PAGE, cursor } = {}) {
      if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE) throw new RangeError(`trail: expected a page size from 1 to ${MAX_PAGE}, got ${size}`)
      const { items, next } = await read(size, cursor)
      return { items: [...items], next }
    },
    async first() {
      return (await read(1, undefined)).items[0]
    },
    async all() {
      const items: T[] = []
      for await (const item of iterate()) items.push(item)
      return items
    },
    async count() {
      let count = 0
      for await (const _ of iterate()) count++
      return count
    },
  }
}
