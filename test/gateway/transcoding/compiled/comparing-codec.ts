/** The compiled codec as the gateway has it, asserting at each step that the reference would have done the same. */
import { deepStrictEqual } from 'node:assert/strict'
import type { FileRegistry } from '@bufbuild/protobuf'
import { StatusError } from '#runtime/status.ts'
import type { Route } from '../../../../gateway/contract/route-table.ts'
import type { Codec } from '../../../../gateway/transcoding/codec.ts'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { createReferenceCodec } from '../../../../gateway/transcoding/reference/reference-codec.ts'

export function createComparingCodec(route: Route, registry: FileRegistry): Codec {
  const compiled = createCompiledCodec(route, registry)
  const reference = createReferenceCodec(route, registry)
  return {
    encode: input =>
      agree(
        () => compiled.encode(input),
        () => reference.encode(input),
      ),
    decode: message =>
      agree(
        () => compiled.decode(message),
        () => reference.decode(message),
      ),
  }
}

function agree<Result>(run: () => Result, runReference: () => Result): Result {
  const found = outcomeOf(run)
  deepStrictEqual(comparable(found), comparable(outcomeOf(runReference)))
  if ('error' in found) throw found.error
  return found.result
}

type Outcome<Result> = { result: Result } | { error: unknown }

export function outcomeOf<Result>(run: () => Result): Outcome<Result> {
  try {
    return { result: run() }
  } catch (error) {
    return { error }
  }
}

/** The outcome as plain values: of bytes their hexadecimal digits, of an error what a client may see of it. */
export function comparable(outcome: Outcome<unknown>): unknown {
  if ('error' in outcome) {
    const { error } = outcome
    if (!(error instanceof StatusError)) return { error: String(error) }
    return { code: error.code, message: error.message, violations: error.violations }
  }
  return outcome.result instanceof Uint8Array ? Buffer.from(outcome.result).toString('hex') : outcome.result
}
