// Runs one of this repository's commands on the pinned Node, on a fresh clone too: installs what
// package-lock.json names when node_modules is missing or says something else. Plain JavaScript without
// dependencies that runs on Node 20, because it runs before anything of ours is there.
//
//   node scripts/bootstrap.mjs (FILE | BIN) [argument…]

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

if (process.argv[1] && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  const [target, ...args] = process.argv.slice(2)
  if (target === undefined) fail('usage: node scripts/bootstrap.mjs (FILE | BIN) [argument…]')
  if (!installed(root)) install()
  run(pinnedNode(), target, args)
}

/**
 * Whether node_modules is what the lock file names: npm leaves a list of what it installed beside the packages, and
 * both lists must name the same versions. Packages for other platforms may be missing.
 */
export function installed(folder) {
  const wanted = packages(join(folder, 'package-lock.json'))
  const found = packages(join(folder, 'node_modules', '.package-lock.json'))
  if (!wanted || !found) return false
  for (const [path, { version, optional, devOptional, peer }] of Object.entries(wanted)) {
    if (path === '') continue
    if (found[path] ? found[path].version !== version : !(optional || devOptional || peer)) return false
  }
  return Object.keys(found).every((path) => path in wanted)
}

function packages(lockFile) {
  try {
    return JSON.parse(readFileSync(lockFile, 'utf8')).packages
  } catch {
    return undefined
  }
}

function install() {
  say('installing the packages named in package-lock.json; this happens once, and again when that file changes')
  const { status, stderr } = npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], root)
  if (status === 0) return
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH/.test(stderr)) {
    fail('npm cannot reach the network. Connect this machine to the network and run the command again, or copy node_modules from a machine that has it.')
  }
  fail(`npm ci failed with exit code ${status}; its message stands above`)
}

/** The Node of devDependencies. Its package fetches the binary in an install script, which a user's npm settings may have kept from running. */
function pinnedNode() {
  const folder = join(root, 'node_modules', 'node')
  const binary = join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  spawnSync(process.execPath, ['installArchSpecificPackage.js'], { cwd: folder, stdio: ['ignore', 'ignore', 2] })
  if (existsSync(binary)) return binary
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) {
    say(`the pinned Node is not to be had here; going on with this one, ${process.version}`)
    return process.execPath
  }
  return fail(`the pinned Node is not to be had here, and this one is ${process.version}; install Node 22.18 or newer and run the command again`)
}

function npm(args, cwd) {
  const script = process.env.npm_execpath
  const [command, first] = script && /npm-cli\.c?js$/.test(script) ? [process.execPath, [script]] : ['npm', []]
  const { status, stderr, error } = spawnSync(command, [...first, ...args], {
    cwd, encoding: 'utf8', stdio: ['ignore', 2, 'pipe'], shell: command === 'npm' && process.platform === 'win32',
  })
  if (error) fail(`npm could not be started: ${error.message}`)
  process.stderr.write(stderr)
  return { status, stderr }
}

/** Runs `target` with our arguments, input and output, and ends as it ends: same exit code, same signal. */
function run(node, target, args) {
  const script = [resolve(root, target), join(root, 'node_modules', '.bin', target)].find((file) => existsSync(file))
  if (script === undefined) fail(`no such file or command: ${target}`)
  const path = [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter)
  const child = spawn(node, [realpathSync(script), ...args], { stdio: 'inherit', env: { ...process.env, PATH: path } })
  // A terminal sends its signals to the child as well; only what was sent to us alone is handed on.
  const fromTerminal = process.stdin.isTTY ? ['SIGINT', 'SIGQUIT', 'SIGHUP'] : []
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTERM']) {
    process.on(signal, () => { if (!fromTerminal.includes(signal)) child.kill(signal) })
  }
  child.on('error', (error) => fail(`${node} could not be started: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
    setTimeout(() => process.exit(128 + constants.signals[signal]), 100) // for a signal that does not end us
  })
}

function say(text) {
  process.stderr.write(`counterfoil: ${text}\n`)
}

function fail(text) {
  say(text)
  process.exit(1)
}
