// Time as entries carry it: `YYYY-MM-DDTHH:MM:SS.sssZ`, 24 characters, UTC, years 0000 to 9999.

/** Milliseconds since 1970. An argument, never a global, in rooms that must not know the time. */
export type Clock = () => number

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/

let second = Number.NaN
let upToSecond = ''

/** `ms` since 1970 as a time string. The last second is remembered: a date costs more than the rest of an event's facts. */
export function formatTime(ms: number): string {
  const whole = Math.floor(ms / 1000)
  if (whole !== second) {
    upToSecond = new Date(whole * 1000).toISOString().slice(0, -4)
    second = whole
  }
  return `${upToSecond}${String(Math.floor(ms - whole * 1000)).padStart(3, '0')}Z`
}

/** Whether `text` is a real time in exactly this form (no 30 February, no second 60). */
export function isTime(text: string): boolean {
  if (!TIME.test(text)) return false
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text
}
