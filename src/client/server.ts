// Which server is meant, and with which key: read once, strictly, before anything is recorded.

import { MisuseError } from '../base/errors.ts'

/** `url` is without a slash at its end; `key` goes into the Authorization header and nowhere else. */
export interface Server { readonly url: string; readonly key: string }

const KEY = /^[\x21-\x7e]{1,512}$/
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * The server at `where`. MisuseErrors for what is no https URL, for http to another machine unless `insecure`, for an URL with a user, a query or a
 * fragment, and for a key that is missing or could not stand in a header. The key is never shown.
 */
export function serverAt(where: string | URL, key: string | undefined, insecure = false): Server {
  const url = parse(where)
  const shown = `${url.protocol}//${url.host}`
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new MisuseError('bad_url', `client: expected an https URL, got ${shown}`, "for example 'https://trail.example.com'")
  if (url.username !== '' || url.password !== '') throw new MisuseError('bad_url', `client: expected an URL without a user in it, got one for ${shown}`, 'pass the key as { key }, or in $COUNTERFOIL_KEY')
  if (url.search !== '' || url.hash !== '') throw new MisuseError('bad_url', `client: expected an URL without query and fragment, got one for ${shown}`, 'name the address that counterfoil serve printed')
  if (url.protocol === 'http:' && !insecure && !LOOPBACK.test(url.hostname)) throw new MisuseError('not_encrypted', `client: expected https, got ${shown}: whoever is on the way reads the key and the content`, 'put a reverse proxy with TLS before the server (docs/operate.md), or say { insecure: true } where the network itself is trusted')
  if (key === undefined || key === '') throw new MisuseError('no_server_key', `client: expected a key for ${shown}, got none`, 'pass { key }, or set $COUNTERFOIL_KEY; an admin of the server makes one')
  if (typeof key !== 'string' || !KEY.test(key)) throw new MisuseError('bad_server_key', `client: expected a key of up to 512 printable characters for ${shown}, got ${typeof key === 'string' ? `${key.length} characters, not all of them such` : typeof key}`, 'pass the key as the server printed it, without line ends')
  return { url: `${url.origin}${url.pathname.replace(/\/+$/, '')}`, key }
}

function parse(where: string | URL): URL {
  try {
    return new URL(where)
  } catch (cause) {
    throw Object.assign(new MisuseError('bad_url', `client: expected an URL, got ${JSON.stringify(String(where).replace(/^.*@/s, '…@').slice(0, 200))}`, "for example 'https://trail.example.com'"), { cause })
  }
}
