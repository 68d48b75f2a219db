import { expect, test } from 'vitest'
import { progressLine } from './commands/verify.ts'
import { makeScreen, type Context } from './context.ts'

/** What a terminal gets of a progress, with a clock of ours. */
function watched({ terminal = true, json = false }: { terminal?: boolean; json?: boolean } = {}): { readonly told: string[]; readonly say: (atMs: number, done: number, total: number) => void; readonly end: () => Promise<void> } {
  const told: string[] = []
  let now = 0
  const screen = makeScreen({ columns: 80, color: false, errorColumns: 80, errorColor: false, errorIsTerminal: terminal, write: () => {}, writeError: (text) => { told.push(text) } })
  const line = progressLine({ screen, json, now: () => now } as Context, 'verifying')
  return {
    told,
    say: (atMs, done, total) => {
      now = atMs
      line(done, total)
    },
    end: async () => {
      screen.progress('')
      await screen.drain()
    },
  }
}

test('says after a second how far it is and how long the rest may take, on one line, ten times a second at most', async () => {
  const { told, say, end } = watched()
  say(200, 100_000, 1_000_000)
  say(999, 400_000, 1_000_000)
  say(1_000, 500_000, 1_000_000)
  say(1_050, 520_000, 1_000_000)
  say(3_000, 10_000, 1_000_000)
  say(1_000_000, 10_000, 1_000_000)
  say(2_000_000, 1_000_000, 1_000_000)
  say(2_000_200, 1_000_000, 1_000_132)
  await end()
  expect(told.map((text) => text.replace('\r\u001b[2K', ''))).toEqual([
    'verifying 500,000 of 1,000,000 entries, 50 %, 1 s left', 'verifying 10,000 of 1,000,000 entries, 1 %, 5 min left', 'verifying 10,000 of 1,000,000 entries, 1 %, 28 h left',
    'verifying 1,000,000 of 1,000,000 entries, 100 %, 0 s left', 'verifying 132 sealed segments, after 1,000,000 entries', '',
  ])
  expect(told.every((text) => text.startsWith('\r\u001b[2K') && !text.includes('\n'))).toBe(true)
})

test.each([{ terminal: false }, { json: true }])('says nothing with %j', async (how) => {
  const { told, say, end } = watched(how)
  say(5_000, 500_000, 1_000_000)
  await end()
  expect(told).toEqual([])
})
