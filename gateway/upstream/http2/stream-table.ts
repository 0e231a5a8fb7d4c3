interface Identified {
  readonly id: number
}

const INITIAL_LENGTH = 64

/**
 * The open streams of a connection by id: a hash table with open addressing and linear probing. Client stream ids are
 * consecutive odd numbers, so collisions are rare.
 *
 * It replaces a Map, which V8 rehashes constantly while entries are added and deleted. V8 links each old table to its
 * successor; one that reaches the old generation retains all later ones, with half of the calls in them, until the next
 * major garbage collection. That garbage was a third of the CPU of a call.
 */
export class StreamTable<S extends Identified> {
  #slots: (S | undefined)[] = new Array(INITIAL_LENGTH).fill(undefined)
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

  /** @param stream must not be in the table. */
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
    // Backward-shift deletion: move up the entries that this one displaced.
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

  /** Returns a copy, so that the table may change during iteration. */
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
