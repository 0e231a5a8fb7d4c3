import { randomFillSync } from 'node:crypto'

// A pool of random digits: 24 bytes per request cost 0.06 us this way, 4.8 us with two calls of `randomBytes`. An id is
// a slice of the pool, so an id that is retained keeps these 8 KiB in memory.
const pool = Buffer.allocUnsafeSlow(4096)
let digits = ''
let next = 0

/** Returns random bytes as lower-case hexadecimal text, for trace ids (16 bytes) and span ids (8 bytes). */
export function randomHex(bytes: number): string {
  if (next + bytes * 2 > digits.length) {
    digits = randomFillSync(pool).toString('hex')
    next = 0
  }
  const start = next
  next += bytes * 2
  return digits.slice(start, next)
}
