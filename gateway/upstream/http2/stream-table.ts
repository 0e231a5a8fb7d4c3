/** What the table holds: anything that has a stream's id. */
interface Identified {
  readonly id: number
}

const FIRST_LENGTH = 64

/**
 * The streams under way by their ids. A Map would do, but when its entries come and go it is rehashed all the time, and
 * V8 links each outgrown table to the next: one that has got into the old generation keeps all after it alive, with half
 * of the calls in them, up to the next full collection. That garbage was a third of the cost of a call.
 *
 * Open addressing with linear probing; ids of one connection follow each other, so they hardly ever meet.
 */
export class StreamTable<S extends Identified> {
  #slots: (S | undefined)[] = new Array(FIRST_LENGTH).fill(undefined)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(id: number): S | undefined {
    const slots = this.#slots
    const mask = slots.length - 1
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at]
      if (stream === undefined || stream.id === id) return stream
    }
  }

  /** @param stream whose id is not in the table. */
  add(stream: S): void {
    if (2 * (this.#size + 1) > this.#slots.length) this.#grow()
    this.#place(stream)
    this.#size++
  }

  delete(id: number): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let hole = (id >>> 1) & mask
    for (; slots[hole]?.id !== id; hole = (hole + 1) & mask) if (slots[hole] === undefined) return
    // Those behind it that it kept from their own place move up.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const stream = slots[at]
      if (stream === undefined) break
      const home = (stream.id >>> 1) & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      slots[hole] = stream
      hole = at
    }
    slots[hole] = undefined
    this.#size--
  }

  /** A copy: the table may change while it is gone through. */
  list(): S[] {
    return this.#slots.filter(stream => stream !== undefined)
  }

  #place(stream: S): void {
    const slots = this.#slots
    const mask = slots.length - 1
    let at = (stream.id >>> 1) & mask
    while (slots[at] !== undefined) at = (at + 1) & mask
    slots[at] = stream
  }

  #grow(): void {
    const streams = this.list()
    this.#slots = new Array(this.#slots.length * 2).fill(undefined)
    for (const stream of streams) this.#place(stream)
  }
}
