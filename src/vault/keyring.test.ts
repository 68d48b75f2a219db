import { createHmac, randomBytes } from 'node:crypto'
import { chmodSync, existsSync, linkSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { toHex, utf8 } from '../base/bytes.ts'
import { ed25519Verifier, openNote, signNote } from '../log/note.ts'
import { formatSecretKey, isOrigin, parseSecretKey } from './key-text.ts'
import { createKeyring, ephemeralKeyring, type Keyring, keyringFolder, openKeyring } from './keyring.ts'
import { slugOf, stateHome } from './paths.ts'
import { newScope, unwrapSecret, wrapSecret } from './scope.ts'

const origin = 'counterfoil.local/8f31c2d47a90b6e5'
let home: string
beforeEach(() => void (home = mkdtempSync(join(tmpdir(), 'keyring-'))))
afterEach(() => rmSync(home, { recursive: true }))
const coded = (code: string, message = ''): unknown => expect.objectContaining({ code, message: expect.stringContaining(message) })

describe('a keyring', () => {
  test('is made 0600 in folders 0700, and opens as what was made', () => {
    rmSync(home, { recursive: true })
    const made = createKeyring(origin, home)
    const folder = keyringFolder(origin, home)
    expect(made.folder).toBe(folder)
    expect(readdirSync(folder).sort()).toEqual(['fingerprint.key', 'kek-1', 'log.key', 'log.pub'])
    expect([home, folder].map(modeOf)).toEqual(['700', '700'])
    expect(readdirSync(folder).map((name) => modeOf(join(folder, name)))).toEqual(['600', '600', '600', '600'])
    expect(readdirSync(home)).toEqual([slugOf(origin)])
    const opened = openKeyring(origin, home)
    expect(facts(opened)).toEqual(facts(made))
  })

  test('signs notes that its vkey verifies', () => {
    const made = createKeyring(origin, home)
    const note = signNote(`${origin}\n1\nroot\n`, [made.signer()])
    expect(openNote(note, [ed25519Verifier(openKeyring(origin, home).vkey)]).verified).toHaveLength(1)
    expect(readFileSync(join(made.folder, 'log.key'), 'utf8')).toMatch(new RegExp(`^PRIVATE\\+KEY\\+${origin}\\+[0-9a-f]{8}\\+[A-Za-z0-9+/=]{44}\n$`))
  })

  test('is made once: a second creation fails and changes nothing', () => {
    const before = facts(createKeyring(origin, home))
    expect(() => createKeyring(origin, home)).toThrow(coded('key_exists', keyringFolder(origin, home)))
    expect(facts(openKeyring(origin, home))).toEqual(before)
    expect(readdirSync(home)).toEqual([slugOf(origin)])
  })

  test('is never made by opening: a log without its keys is an error that names the folder', () => {
    expect(() => openKeyring(origin, home)).toThrow(coded('keys_missing', keyringFolder(origin, home)))
    expect(readdirSync(home)).toEqual([])
  })

  test.each(['log.key', 'log.pub', 'fingerprint.key'])('does not open without %s, nor makes a new one', (name) => {
    const { folder } = createKeyring(origin, home)
    rmSync(join(folder, name))
    expect(() => openKeyring(origin, home)).toThrow(coded('keys_missing', name))
    expect(existsSync(join(folder, name))).toBe(false)
  })

  test('does not open without any KEK', () => {
    const { folder } = createKeyring(origin, home)
    rmSync(join(folder, 'kek-1'))
    expect(() => openKeyring(origin, home)).toThrow(coded('kek_missing', folder))
  })

  test('does not open when others may read it, and prints the chmod', () => {
    const { folder } = createKeyring(origin, home)
    for (const name of readdirSync(folder)) {
      chmodSync(join(folder, name), 0o640)
      expect(() => openKeyring(origin, home)).toThrow(coded('key_permissions', `chmod 600 '${join(folder, name)}'`))
      chmodSync(join(folder, name), 0o400)
      openKeyring(origin, home)
    }
    chmodSync(folder, 0o755)
    expect(() => openKeyring(origin, home)).toThrow(coded('key_permissions', `chmod 700 '${folder}'`))
  })

  test('does not open with any character of a key file changed, and never prints what stands there', () => {
    const { folder } = createKeyring(origin, home)
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name), 'utf8')
      for (let i = 0; i < text.length - 1; i++) {
        writeFileSync(join(folder, name), text.slice(0, i) + String.fromCharCode(text.charCodeAt(i) ^ 1) + text.slice(i + 1))
        const error = thrown(() => openKeyring(origin, home)) as Error & { code: string }
        expect(error.code, `${name} ${i}`).toBe('key_malformed')
        if (name !== 'log.pub') expect(error.message).not.toContain(text.slice(-30, -5))
      }
      writeFileSync(join(folder, name), text)
    }
    openKeyring(origin, home)
  })

  test("does not open with another log's keys, whole or one by one", () => {
    const other = createKeyring('example.com/other', home)
    const mine = createKeyring(origin, home)
    for (const name of readdirSync(mine.folder)) {
      const text = readFileSync(join(mine.folder, name))
      writeFileSync(join(mine.folder, name), readFileSync(join(other.folder, name)))
      expect(() => openKeyring(origin, home), name).toThrow(coded('key_malformed', name))
      writeFileSync(join(mine.folder, name), text)
    }
    rmSync(mine.folder, { recursive: true })
    renameSync(other.folder, mine.folder)
    expect(() => openKeyring(origin, home)).toThrow(coded('key_malformed', 'example.com/other'))
  })

  test('has one key for each use', () => {
    const keyring = createKeyring(origin, home)
    const { folder } = keyring
    writeFileSync(join(folder, 'fingerprint.key'), readFileSync(join(folder, 'kek-1')))
    expect(() => openKeyring(origin, home)).toThrow(coded('key_malformed', 'fingerprint.key'))
  })

  test('is named by an origin that notes allow', () => {
    for (const bad of ['', 'a b', 'a+b', 'a\nb', 'a\0', '\ud800', 'a\u2003b', 'x'.repeat(256)]) {
      expect(isOrigin(bad)).toBe(false)
      expect(() => createKeyring(bad, home)).toThrow(coded('origin'))
    }
    expect(isOrigin('prüfstelle.example/log')).toBe(true)
  })
})

describe('the KEK', () => {
  test('is renewed in three steps, seen by every process, and dead copies stay dead', () => {
    const a = createKeyring(origin, home)
    const b = openKeyring(origin, home)
    const scope = newScope()
    const old = wrapSecret(scope, a.currentKek(), origin)
    expect(a.makeKek(2).generation).toBe(2)
    expect(b.currentKek()).toEqual(a.currentKek())
    expect(b.keks().map((kek) => kek.generation)).toEqual([1, 2])
    const renewed = wrapSecret({ id: scope.id, secret: unwrapSecret(old, scope.id, origin, (g) => b.kek(g)) }, b.currentKek(), origin)
    a.destroyKek(1)
    b.currentKek() // b looks into the folder, as each append does
    for (const keyring of [a, b, openKeyring(origin, home)]) {
      expect(toHex(unwrapSecret(renewed, scope.id, origin, (g) => keyring.kek(g)))).toBe(toHex(scope.secret))
      expect(() => unwrapSecret(old, scope.id, origin, (g) => keyring.kek(g))).toThrow(coded('kek_missing'))
    }
    expect(readdirSync(a.folder)).not.toContain('kek-1')
  })

  test('is never skipped, made twice or destroyed while it is the newest', () => {
    const a = createKeyring(origin, home)
    const b = openKeyring(origin, home)
    for (const bad of [1, 3, 0, 1.5]) expect(() => a.makeKek(bad)).toThrow(RangeError)
    expect(() => a.destroyKek(1)).toThrow(RangeError)
    a.makeKek(2)
    const [key] = [toHex(a.currentKek().key)]
    expect(() => b.makeKek(2)).toThrow(RangeError)
    expect(toHex(b.currentKek().key)).toBe(key)
    a.destroyKek(1)
    a.destroyKek(1) // finishing a renewal twice is no error
    expect(a.keks()[0]!.made_ms).toBeGreaterThan(Date.now() - 60_000)
  })

  test('file is overwritten before it is unlinked', () => {
    const keyring = createKeyring(origin, home)
    const path = join(keyring.folder, 'kek-1')
    const kept = join(home, 'hard-link')
    linkSync(path, kept)
    const text = readFileSync(kept, 'utf8')
    keyring.makeKek(2)
    keyring.destroyKek(1)
    expect(readFileSync(kept).length).toBe(text.length)
    expect(readFileSync(kept, 'latin1')).not.toContain(text.slice(-40, -5))
  })
})

describe('head and proved', () => {
  test('are replaced whole and survive opening again', () => {
    const keyring = createKeyring(origin, home)
    expect([keyring.readHead(), keyring.readProved()]).toEqual([undefined, undefined])
    keyring.writeHead('note 1\n')
    keyring.writeHead('note 2, prüf\n')
    keyring.writeProved('note 0\n')
    const again = openKeyring(origin, home)
    expect([again.readHead(), again.readProved()]).toEqual(['note 2, prüf\n', 'note 0\n'])
    expect(readdirSync(keyring.folder).filter((name) => name.startsWith('.'))).toEqual([])
    expect(modeOf(join(keyring.folder, 'head'))).toBe('600')
  })
})

describe('a fingerprint', () => {
  test('is the HMAC of label, NUL and bytes under the key of this log', () => {
    const keyring = createKeyring(origin, home)
    const key = parseSecretKey(readFileSync(join(keyring.folder, 'fingerprint.key'), 'utf8'), 'fingerprint', origin)
    const expected = createHmac('sha256', key).update('system_prompt\0be kind').digest('hex')
    expect(toHex(keyring.fingerprint('system_prompt', utf8('be kind')))).toBe(expected)
    expect(toHex(keyring.fingerprint('tool_schema', utf8('be kind')))).not.toBe(expected)
    expect(toHex(ephemeralKeyring(origin).fingerprint('system_prompt', utf8('be kind')))).not.toBe(expected)
    expect(() => keyring.fingerprint('a\0b', utf8(''))).toThrow(TypeError)
  })
})

describe('an ephemeral keyring', () => {
  test('does all that one on disk does, and leaves nothing', () => {
    const keyring = ephemeralKeyring(origin)
    expect(keyring.folder).toBe('memory')
    expect(openNote(signNote('x\n', [keyring.signer()]), [ed25519Verifier(keyring.vkey)]).verified).toHaveLength(1)
    keyring.makeKek(2)
    keyring.destroyKek(1)
    expect(keyring.keks().map((kek) => kek.generation)).toEqual([2])
    expect(() => keyring.kek(1)).toThrow(coded('kek_missing'))
    keyring.writeHead('note\n')
    expect(keyring.readHead()).toBe('note\n')
    expect(facts(ephemeralKeyring(origin))).not.toEqual(facts(keyring))
    expect(readdirSync(home)).toEqual([])
  })
})

describe('the text of a secret key', () => {
  test('refuses another length, and a form that is not here yet', () => {
    expect(() => parseSecretKey(formatSecretKey('spool', origin, randomBytes(31)), 'spool', origin)).toThrow('expected 33 bytes')
    const text = formatSecretKey('spool', origin, randomBytes(32))
    expect(() => parseSecretKey(text.replace(/\+AQ?[A-Za-z0-9+/]/, '+Ag0'), 'spool', origin)).toThrow(TypeError)
    expect(() => parseSecretKey(`${text}\n`, 'spool', origin)).toThrow(TypeError)
  })
})

describe('the state folder', () => {
  const of = (platform: NodeJS.Platform, env: Record<string, string> = {}): string => stateHome({ platform, env, home: platform === 'win32' ? 'C:\\Users\\ada' : '/home/ada' })

  test('is where each platform keeps state', () => {
    expect(of('linux')).toBe('/home/ada/.local/state/counterfoil')
    expect(of('freebsd')).toBe('/home/ada/.local/state/counterfoil')
    expect(of('darwin')).toBe('/home/ada/Library/Application Support/counterfoil')
    expect(of('win32')).toBe('C:\\Users\\ada\\AppData\\Local\\counterfoil')
    expect(of('win32', { LOCALAPPDATA: 'D:\\data' })).toBe('D:\\data\\counterfoil')
  })

  test('follows XDG_STATE_HOME if that is absolute, and COUNTERFOIL_HOME before all', () => {
    expect(of('linux', { XDG_STATE_HOME: '/state' })).toBe('/state/counterfoil')
    expect(of('linux', { XDG_STATE_HOME: 'state' })).toBe('/home/ada/.local/state/counterfoil')
    expect(of('linux', { XDG_STATE_HOME: '' })).toBe('/home/ada/.local/state/counterfoil')
    expect(of('linux', { COUNTERFOIL_HOME: '/keys', XDG_STATE_HOME: '/state' })).toBe('/keys')
    expect(of('win32', { COUNTERFOIL_HOME: 'E:\\keys' })).toBe('E:\\keys')
    expect(of('linux', { COUNTERFOIL_HOME: '' })).toBe('/home/ada/.local/state/counterfoil')
    expect(() => of('linux', { COUNTERFOIL_HOME: 'keys' })).toThrow(coded('relative_home'))
  })

  test('has one folder for each origin, whatever its characters', () => {
    const origins = ['a/b', 'a_b', 'A/b', 'a//b', '..', '.', '../../etc', 'prüf', 'pr_f', 'x'.repeat(200), `${'x'.repeat(200)}y`]
    const slugs = origins.map(slugOf)
    expect(new Set(slugs.map((slug) => slug.toLowerCase())).size).toBe(origins.length)
    for (const slug of slugs) expect(slug).toMatch(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,96}$/)
    expect(slugOf('counterfoil.local/8f31')).toMatch(/^counterfoil\.local_8f31-[0-9a-f]{16}$/)
  })
})

function facts(keyring: Keyring): unknown {
  return { origin: keyring.origin, vkey: keyring.vkey, kek: toHex(keyring.currentKek().key), fingerprint: toHex(keyring.fingerprint('a', utf8('b'))) }
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

function thrown(fn: () => unknown): unknown {
  try {
    fn()
  } catch (error) {
    return error
  }
  return undefined
}
