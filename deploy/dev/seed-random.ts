/** Numbers that look random and are the same for the same seed: a data set that somebody measured can be made again. */
export interface Random {
  /** From 0 up to, but not including, 1. */
  next(): number
  /** A whole number from 0 up to, but not including, `bound`. */
  below(bound: number): number
  pick<T>(from: readonly T[]): T
  /** Version 7 of RFC 9562 for a time in milliseconds, version 4 without one. */
  uuid(time?: number): string
}

/** Mulberry32: 32 bits of state, more than enough for text that nobody reads. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const bits = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const hex = () => bits().toString(16).padStart(8, '0')
  const next = () => bits() / 2 ** 32
  const below = (bound: number) => Math.floor(next() * bound)
  return {
    next,
    below,
    pick: from => from[below(from.length)] as (typeof from)[number],
    uuid(time) {
      const [a, b] = [hex(), hex()]
      const head = time === undefined ? hex() + hex().slice(0, 4) : time.toString(16).padStart(12, '0')
      const version = time === undefined ? 4 : 7
      const variant = '89ab'[bits() & 3]
      return `${head.slice(0, 8)}-${head.slice(8)}-${version}${a.slice(0, 3)}-${variant}${a.slice(3, 6)}-${b}${hex().slice(0, 4)}`
    },
  }
}

/**
 * Draws the first of a list often and the last seldom: the n-th with a weight of 1 / (n + flatness), which without any is
 * Zipf's law.
 */
export function createZipf<T>(from: readonly T[], random: Random, flatness = 0): () => T {
  const weightOf = (index: number) => 1 / (index + 1 + flatness)
  // A table to look up in costs one draw; what its steps are too coarse for is drawn one step at a time.
  const steps = 1 << 18
  const total = from.reduce((sum, _, index) => sum + weightOf(index), 0)
  const table = new Uint32Array(steps)
  let reached = 0
  let index = 0
  for (let step = 0; step < steps; step++) {
    while (index < from.length - 1 && reached + weightOf(index) < (step / steps) * total) {
      reached += weightOf(index)
      index++
    }
    table[step] = index
  }
  const tail = table[steps - 1] as number
  return () => {
    const drawn = table[random.below(steps)] as number
    return from[drawn === tail ? tail + random.below(from.length - tail) : drawn] as T
  }
}
