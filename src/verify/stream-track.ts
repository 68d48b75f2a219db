// One stream as a verification sees it: every hole and every repetition, however many. The session row forgets some of them, to stay small.

/** What arrived of one recorder's part of a session. */
export class StreamTrack {
  /** The stream_seq after the highest that arrived. */
  next = 0
  /** How many events came with a stream_seq that was there already. */
  repeated = 0
  /** What was jumped over and has not come, as [from, to] inclusive, ascending. */
  #holes: [number, number][] = []

  /** How many events never arrived. */
  get missing(): number {
    return this.#holes.reduce((sum, [from, to]) => sum + to - from + 1, 0)
  }

  add(stream_seq: number): void {
    if (stream_seq >= this.next) {
      if (stream_seq > this.next) this.#holes.push([this.next, stream_seq - 1])
      this.next = stream_seq + 1
      return
    }
    const at = this.#holeAt(stream_seq)
    if (at === undefined) {
      this.repeated++
      return
    }
    const [from, to] = this.#holes[at]!
    const rest: [number, number][] = [[from, stream_seq - 1], [stream_seq + 1, to]]
    this.#holes.splice(at, 1, ...rest.filter(([a, b]) => a <= b))
  }

  /** By halving: a stream may have as many holes as events, and fill each of them later. */
  #holeAt(stream_seq: number): number | undefined {
    let [low, high] = [0, this.#holes.length]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#holes[middle]![1] < stream_seq) low = middle + 1
      else high = middle
    }
    return low < this.#holes.length && this.#holes[low]![0] <= stream_seq ? low : undefined
  }
}
