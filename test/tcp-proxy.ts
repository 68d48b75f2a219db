// A network between a client and a server that does what networks do: delays, cuts, loses answers, says 503, is not there.

import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'

/** `lost`: requests arrive, and no answer comes back. `half`: the connection ends in the middle of a request. `silent`: everything is taken and nothing ever answered. */
export type Weather = 'fine' | 'lost' | 'half' | 'silent' | '503'

export class TcpProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #port = 0
  weather: Weather = 'fine'
  /** Added to every chunk, each way, in milliseconds. */
  delayMs = 0
  /** Where it leads. */
  target: number
  /** Connections that were opened through it. */
  opened = 0

  private constructor(target: number) {
    this.target = target
    this.#server = createServer((socket) => this.#take(socket))
  }

  static async to(url: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(Number(new URL(url).port))
    await proxy.up()
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Listens, on the same port again after it was down. */
  async up(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(this.#port, '127.0.0.1', done))
    this.#port = (this.#server.address() as AddressInfo).port
  }

  /** Nobody listens, and who was connected is cut off. */
  async down(): Promise<void> {
    const closed = new Promise<void>((done) => this.#server.close(() => done()))
    this.cut()
    await closed
  }

  /** Ends every connection now. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #take(client: Socket): void {
    this.opened++
    this.#keep(client)
    if (this.weather === '503') {
      client.once('data', () => client.end('HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'))
      return
    }
    const server = connect(this.target, '127.0.0.1')
    this.#keep(server)
    this.#carry(client, server, (chunk) => {
      if (this.weather === 'silent') return undefined
      if (this.weather !== 'half') return chunk
      server.write(chunk.subarray(0, chunk.length / 2))
      setTimeout(() => this.cut(), 5)
      return undefined
    })
    this.#carry(server, client, (chunk) => {
      if (this.weather === 'silent') return undefined
      if (this.weather !== 'lost') return chunk
      client.destroy()
      server.destroy()
      return undefined
    })
  }

  #carry(from: Socket, to: Socket, look: (chunk: Buffer) => Buffer | undefined): void {
    from.on('data', (chunk: Buffer) => {
      const pass = (): void => {
        const passed = look(chunk)
        if (passed !== undefined && !to.destroyed) to.write(passed)
      }
      if (this.delayMs > 0) setTimeout(pass, this.delayMs)
      else pass()
    })
    from.on('close', () => setTimeout(() => to.destroy(), this.delayMs))
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {}) // what it was used for says so
    socket.on('close', () => this.#sockets.delete(socket))
  }
}
