// Where webhooks may go: https to public addresses, loopback by its name, and what the operator allows. The address that was looked at is the one that is
// connected to, so that a name cannot answer twice (DNS rebinding), and no redirect is followed.

import { lookup as resolve, type LookupAddress } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, isIPv4 } from 'node:net'
import { MisuseError } from '../base/errors.ts'
import { quote } from '../event/label.ts'

const MAX_URL = 2_048
const TIMEOUT_MS = 10_000

/** What is no address of the public internet: RFC 6890 and what embeds IPv4. An IPv4-mapped address is checked as the IPv4 address that it is. */
const PRIVATE = listOf([
  '0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24', '224.0.0.0/4', '240.0.0.0/4',
  '::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8',
])
const LOOPBACK = listOf(['127.0.0.0/8', '::1/128'])

/** Networks as CIDR, or single addresses. */
export function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = isIP(address)
    if (family === 0 || (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128)))) throw new MisuseError('bad_network', `server: expected a network as 10.1.0.0/16 or an address, got ${quote(network)}`, 'name it by its address')
    const type = family === 4 ? 'ipv4' : 'ipv6'
    if (prefix === undefined) list.addAddress(address, type)
    else list.addSubnet(address, Number(prefix), type)
  }
  return list
}

function holds(list: BlockList, address: string): boolean {
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')
}

export class Targets {
  readonly #allowed: BlockList

  /** `allowed`: networks beyond the public internet that the operator lets webhooks go to. */
  constructor(allowed: readonly string[] = []) {
    this.#allowed = listOf(allowed)
  }

  /** The URL, if a webhook may have it as far as its text says. MisuseError `bad_target`. */
  check(text: string): URL {
    if (text.length > MAX_URL || !URL.canParse(text)) throw bad(text, 'a URL of at most 2048 characters')
    const url = new URL(text)
    if (url.username !== '' || url.password !== '') throw bad(url.origin, 'a URL without name and password')
    if (url.protocol === 'https:' || (url.protocol === 'http:' && (isLoopback(url) || this.#mayBe(hostOf(url))))) {
      const host = hostOf(url)
      if (isIP(host) !== 0 && !isLoopback(url) && !this.#mayBe(host)) throw bad(url.origin, 'a public address')
      return url
    }
    throw bad(url.origin, 'https, or http to this machine')
  }

  /** Posts `body`; the status, or a rejection with why nothing came back. */
  post(text: string, headers: { readonly [name: string]: string }, body: string, ending: AbortSignal): Promise<number> {
    const url = this.check(text)
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    return new Promise((done, fail) => {
      const request = send(url, {
        method: 'POST', agent: false, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) }, signal: AbortSignal.any([ending, AbortSignal.timeout(TIMEOUT_MS)]),
        lookup: (host, options, tell) => {
          resolve(host, { ...options, all: true }, (error, addresses) => {
            const found = addresses as LookupAddress[] | undefined
            const refused = error ?? found?.map(({ address }) => this.#refusal(address, url)).find((each) => each !== undefined)
            if (refused !== undefined && refused !== null) return tell(refused, [] as never)
            if (options.all === true) tell(null, found!)
            else tell(null, found![0]!.address, found![0]!.family)
          })
        },
      }, (response) => {
        response.on('error', () => {})
        done(response.statusCode ?? 0)
        request.destroy() // what it says is nothing to us
      })
      request.on('error', fail)
      request.end(body)
    })
  }

  #refusal(address: string, url: URL): NodeJS.ErrnoException | undefined {
    if (isLoopback(url) ? holds(LOOPBACK, address) : this.#mayBe(address)) return undefined
    return Object.assign(new Error(`${url.hostname} is ${address}, which is no public address`), { code: 'ETARGET' })
  }

  #mayBe(address: string): boolean {
    return isIP(address) !== 0 && (!holds(PRIVATE, address) || holds(this.#allowed, address))
  }
}

/** Whether the URL names this machine by its own words: a public name that leads here is another thing. */
function isLoopback(url: URL): boolean {
  const host = hostOf(url)
  return host === 'localhost' || (isIP(host) !== 0 && holds(LOOPBACK, host))
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1')
}

function bad(got: string, expected: string): MisuseError {
  return new MisuseError('bad_target', `server: expected ${expected} for a webhook, got ${quote(got.slice(0, 200))}`, 'an operator allows other networks with counterfoil serve --webhooks NETWORK')
}
