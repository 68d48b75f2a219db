// A principal who reads: what they see at the content that they ask for, why they say that they look, and what is put on record of it.

import { z } from './schema.ts'
import { formatView } from '../event/view-json.ts'
import type { Place, Sight } from '../ledger/reader.ts'
import type { Reading } from './access.ts'
import type { Parts } from './app.ts'
import { encodeCursor } from './page.ts'
import { HttpError, notFound } from './problem.ts'
import type { Principal } from './roles.ts'
import type { Given } from './route.ts'
import { CONTENT, sightOf, type Content } from './sight.ts'
import type { Tenant } from './tenants.ts'

export const PURPOSE_HEADER = 'Counterfoil-Purpose'
const MAX_PURPOSE = 500
/** Entries that one request looks at before it says where to go on. */
const SCAN = 5_000
/** Bytes of one page: what does not go into it comes with the next, but one item always does. */
const PAGE_BYTES: number = 16 * 1024 * 1024

/** What every route that can show content takes. */
export const contentQuery: z.ZodObject<{ content: z.ZodDefault<z.ZodEnum<{ none: 'none'; masked: 'masked'; full: 'full' }>>; purpose: z.ZodOptional<z.ZodString> }> = z.strictObject({
  content: z.enum(['none', 'masked', 'full']).default('none').openapi({ description: 'Payloads left out, by their form only, or in the clear.' }),
  purpose: z.string().max(MAX_PURPOSE).optional().openapi({ description: `Why they are looked at; it goes on record. Also as the header \`${PURPOSE_HEADER}\`.` }),
})

export const purposeHeader: z.ZodObject = z.object({ [PURPOSE_HEADER.toLowerCase()]: z.string().min(1).max(MAX_PURPOSE).optional() })

export const uuidSchema: z.ZodType<string> = z.uuid().regex(/^[0-9a-f-]+$/)

type Asking = Pick<Given<unknown, unknown, unknown>, 'who' | 'tenant' | 'parts' | 'c'>

export class Viewer {
  readonly who: Principal
  readonly tenant: Tenant
  readonly content: Content
  readonly sight: Sight
  readonly #purpose: string | undefined
  readonly #parts: Parts
  readonly #route: string

  /** Use `viewerOf`. */
  constructor({ who, tenant, parts }: Asking, route: string, sight: Sight, purpose: string | undefined) {
    this.who = who
    this.tenant = tenant
    this.content = sight.content
    this.sight = { ...sight, scan: SCAN }
    this.#purpose = purpose
    this.#parts = parts
    this.#route = route
  }

  /** Calls a method of the ledger's reader in this sight. */
  see<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    return this.tenant.ledger.call<T>('see', this.sight, method, args)
  }

  /** To be awaited before content of these entries goes out. Facts are not put on record. */
  async shown(action: Reading['action'], query: { readonly [name: string]: unknown }, entries: readonly Place[]): Promise<void> {
    if (this.content === 'none') return
    await this.#parts.accesses.of(this.tenant).shown({ who: this.who, action, query: { ...query, content: this.content }, purpose: this.#purpose }, entries)
  }

  /** Something is not there, or not for this principal: the answers are alike, and it is on record that they asked. */
  async missing(what: string, query: { readonly [name: string]: unknown }): Promise<HttpError> {
    await this.#parts.accesses.of(this.tenant).denied(this.who, 'read', { route: this.#route, ...query })
    return notFound(what)
  }

  /** `value` as JSON. What shows content is kept by nobody; `etag` says that what is shown never changes. */
  json(value: unknown, etag?: string): Response {
    return this.text(formatView(value), etag)
  }

  text(text: string, etag?: string): Response {
    const kept = this.content === 'none' && etag !== undefined
    const headers = { 'content-type': 'application/json', 'cache-control': this.content !== 'none' ? 'no-store' : kept ? IMMUTABLE : 'private, no-cache', vary: 'authorization', ...(kept ? { etag } : {}) }
    return new Response(text, { headers })
  }

  /** A page of `items`, cut where it becomes too long; `cursorOf` says where to go on after an item. `shown` is called with how many go out, before they do. */
  async page<T>(items: readonly T[], next: string | null, cursorOf: (item: T) => string, shown: (count: number) => Promise<void>): Promise<Response> {
    const texts: string[] = []
    let bytes = 0
    for (const item of items) {
      const text = formatView(item)
      if (texts.length > 0 && bytes + text.length > PAGE_BYTES) break
      texts.push(text)
      bytes += text.length
    }
    const all = texts.length === items.length
    await shown(texts.length)
    const cursor = all ? next : cursorOf(items[texts.length - 1]!)
    return this.text(`{"items":[${texts.join(',')}],"next":${cursor === null ? 'null' : JSON.stringify(encodeCursor(cursor))}}`)
  }
}

/** What never changes, for whoever asked for it. */
export const IMMUTABLE = 'private, max-age=31536000, immutable'

/** Who asks, at the content that they ask for. HttpError 403 where no role of theirs gives it, 400 where a person does not say why. */
export async function viewerOf(asking: Asking, route: string, { content, purpose: said }: { readonly content: Content; readonly purpose?: string | undefined }): Promise<Viewer> {
  const { who, tenant, parts, c } = asking
  const sight = sightOf(who, content, parts.clock())
  if (sight === undefined) {
    await parts.denied(who, tenant, route, CONTENT[content])
    throw new HttpError(403, 'not_allowed', `server: content=${content} asks for the permission ${CONTENT[content]}, which ${who.roles.join(', ')} does not have`, content === 'none' ? 'ask an admin whose role has it' : 'ask for less content, or an admin whose role has it')
  }
  const purpose = purposeOf(c.req.header(PURPOSE_HEADER), said)
  if (content === 'full' && purpose === undefined && who.kind === 'person') {
    throw new HttpError(400, 'no_purpose', 'server: expected a purpose, since content is asked for; it goes on record with who reads what', `say why in the header ${PURPOSE_HEADER}, or as purpose= in the query`)
  }
  return new Viewer(asking, route, sight, purpose)
}

/** The purpose out of header or query. */
export function purposeOf(header: string | undefined, query: string | undefined): string | undefined {
  if (header !== undefined && query !== undefined && header !== query) throw new HttpError(400, 'bad_purpose', 'server: expected one purpose, got another in the header than in the query', 'send it once')
  const text = (header ?? query)?.trim()
  if (text === undefined) return undefined
  const fits = text.length > 0 && text.length <= MAX_PURPOSE && !/[\p{Cc}\p{Cs}]/u.test(text)
  if (!fits) throw new HttpError(400, 'bad_purpose', `server: expected a purpose of 1 to ${MAX_PURPOSE} characters in one line`, 'for example: case 4711')
  // a header is bytes: what is no ASCII in it arrived as something else
  if (header !== undefined && !/^[\x20-\x7e]*$/.test(header)) throw new HttpError(400, 'bad_purpose', 'server: expected a purpose in ASCII in the header', 'send others as purpose= in the query, which is UTF-8')
  return text
}
