/** A codec for tests of the gateway: the compiled codec, with an assertion that the reference codec does the same. */
import { deepStrictEqual } from 'node:assert/strict'
import type { FileRegistry } from '@bufbuild/protobuf'
import { StatusError } from '#runtime/status.ts'
import type { Route } from '../../../../gateway/contract/route-table.ts'
import type { Codec } from '../../../../gateway/transcoding/codec.ts'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { createReferenceCodec } from '../../../../gateway/transcoding/reference/reference-codec.ts'

/** Creates the codec. Its methods throw AssertionError if results or errors of the two codecs differ. */
export function createComparingCodec(route: Route, registry: FileRegistry): Codec {
  const compiled = createCompiledCodec(route, registry)
  const reference = createReferenceCodec(route, registry)
  return {
    encode: input =>
      compare(
        () => compiled.encode(input),
        () => reference.encode(input),
      ),
    decode: (message, enumsAsIntegers) =>
      compare(
        () => compiled.decode(message, enumsAsIntegers),
        () => reference.decode(message, enumsAsIntegers),
      ),
  }
}

function compare<Result>(run: () => Result, runReference: () => Result): Result {
  const actual = outcomeOf(run)
  deepStrictEqual(comparable(actual), comparable(outcomeOf(runReference)))
  if ('error' in actual) throw actual.error
  return actual.result
}

type Outcome<Result> = { result: Result } | { error: unknown }

/** Returns the result or the error of a function. */
export function outcomeOf<Result>(run: () => Result): Outcome<Result> {
  try {
    return { result: run() }
  } catch (error) {
    return { error }
  }
}

/** Returns an outcome as plain values: bytes in hexadecimal, errors as the code, message and violations for clients. */
export function comparable(outcome: Outcome<unknown>): unknown {
  if ('error' in outcome) {
    const { error } = outcome
    if (!(error instanceof StatusError)) return { error: String(error) }
    return { code: error.code, message: error.message, violations: error.violations }
  }
  return outcome.result instanceof Uint8Array ? Buffer.from(outcome.result).toString('hex') : outcome.result
}
