// counterfoil/client: events to a server from where there is no disk: edge functions, browsers. Nothing here reaches node:.

export { connect, EventsRefused, type AppendReceipt, type Client, type ClientOptions, type ClientSession, type EventInput, type SessionEvent } from './client/append.ts'
export { CounterfoilError, MisuseError, RemoteError } from './base/errors.ts'
