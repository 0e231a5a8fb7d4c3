/**
 * How the compiled codec falls back to the reference codec. Compiled code handles the common inputs only. It calls
 * `fallBack` for all others: rare encodings, invalid values, anything it does not recognize. The reference codec then
 * processes the same input from the start and returns the result or throws the error.
 */

// Created once: an Error with a stack trace costs more than the compiled attempt that it ends.
const FALLBACK = new Error('Falling back to the reference codec')

/** @throws the fallback signal, which `withFallback` catches. */
export function fallBack(): never {
  throw FALLBACK
}

export function isFallback(error: unknown): boolean {
  return error === FALLBACK
}

/** Runs the compiled function, and the reference if the compiled one falls back. Other errors are rethrown. */
export function withFallback<Input, Output>(
  compiled: (input: Input) => Output,
  reference: (input: Input) => Output,
  input: Input,
): Output {
  try {
    return compiled(input)
  } catch (error) {
    if (isFallback(error)) return reference(input)
    throw error
  }
}
