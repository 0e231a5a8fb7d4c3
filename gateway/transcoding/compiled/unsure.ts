/**
 * How the compiled codec gives a case up: it handles what is common, and of all else (what is rare, what is wrong, what
 * it cannot be sure of) says nothing itself but leaves it to the reference, which then makes the result or the error.
 */

// One for all, since making an error with its stack costs more than the attempt that it ends.
const UNSURE = new Error('Left to the reference codec')

export function unsure(): never {
  throw UNSURE
}

export function isUnsure(error: unknown): boolean {
  return error === UNSURE
}
