/** As many as can be under way at once, roughly. */
const MAX_REMEMBERED = 1024

/**
 * The streams that we reset. The peer's frames for them may still be on the way and mean nothing; frames for a stream
 * that the peer ended itself are an error of the peer.
 */
export class ClosedStreams {
  readonly #reset = new Set<number>()
  #forgottenUpTo = 0

  addReset(streamId: number): void {
    this.#reset.add(streamId)
    if (this.#reset.size <= MAX_REMEMBERED) return
    const [oldest = 0] = this.#reset
    this.#reset.delete(oldest)
    this.#forgottenUpTo = Math.max(this.#forgottenUpTo, oldest)
  }

  /** For streams too long ago to tell, yes. */
  mayHaveFramesUnderWay(streamId: number): boolean {
    return streamId <= this.#forgottenUpTo || this.#reset.has(streamId)
  }
}
