/** Compares the compiled codec with the reference codec, and counts how often it falls back. */
import { deepStrictEqual } from 'node:assert/strict'
import type { DescMessage, FileRegistry } from '@bufbuild/protobuf'
import type { Route } from '../../../../gateway/contract/route-table.ts'
import type { Codec, DecodedResponse, RequestInput } from '../../../../gateway/transcoding/codec.ts'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { createReferenceCodec } from '../../../../gateway/transcoding/reference/reference-codec.ts'
import { comparable, outcomeOf } from './comparing-codec.ts'

/** Both codecs of a route. */
export interface CodecPair {
  /** Encodes with both codecs. @throws AssertionError if results or errors differ. */
  encode(input: RequestInput): void
  /** Decodes with both codecs. @throws AssertionError if results or errors differ. */
  decode(message: Uint8Array): void
  readonly tally: Tally
}

/** Counts the inputs of one or more pairs. */
export interface Tally {
  /** Inputs that both codecs converted. */
  accepted: number
  /** Inputs for which both codecs threw the same error. */
  rejected: number
  /** Accepted inputs that the compiled codec converted without falling back. */
  withoutFallback: number
}

/** Creates a tally in which all counts are 0. */
export function newTally(): Tally {
  return { accepted: 0, rejected: 0, withoutFallback: 0 }
}

/** Creates the codecs of a route. @param tally may be shared by several pairs. */
export function codecPair(route: Route, registry: FileRegistry, tally = newTally()): CodecPair {
  const reference = createReferenceCodec(route, registry)
  let fallbacks = 0
  const countingReference: Codec = {
    encode(input) {
      fallbacks++
      return reference.encode(input)
    },
    decode(message) {
      fallbacks++
      return reference.decode(message)
    },
  }
  const compiled = createCompiledCodec(route, registry, countingReference)
  return {
    tally,
    encode: input => compare(codec => codec.encode(input)),
    decode: message => compare(codec => codec.decode(message)),
  }

  function compare(run: (codec: Codec) => Uint8Array | DecodedResponse): void {
    const expected = outcomeOf(() => run(reference))
    const before = fallbacks
    deepStrictEqual(comparable(outcomeOf(() => run(compiled))), comparable(expected))
    if ('error' in expected) tally.rejected++
    else {
      tally.accepted++
      if (fallbacks === before) tally.withoutFallback++
    }
  }
}

/** The parts of a test route that vary. */
export interface RouteParts {
  /** Names of request fields that are path variables. Default: none. */
  readonly variables?: readonly string[]
  /** `*`, the name of a field, or undefined for no body. */
  readonly body?: string | undefined
  /** The name of the response field that becomes the body. Default: the whole message. */
  readonly responseBody?: string | undefined
}

/** Creates a route with the message as request and response. It has only the properties that codecs use. */
export function testRoute(message: DescMessage, { variables = [], body, responseBody }: RouteParts): Route {
  const fieldNamed = (name: string) => message.fields.find(field => field.name === name)
  const field = fieldNamed(body ?? '')
  return {
    descriptor: { input: message, output: message },
    template: {
      variables: variables.map((name, start) => ({
        fieldPath: name.split('.'),
        start,
        end: start + 1,
        isMultiple: false,
      })),
    },
    body: body === '*' ? { kind: 'message' } : field === undefined ? { kind: 'none' } : { kind: 'field', field },
    responseField: fieldNamed(responseBody ?? ''),
  } as unknown as Route
}

/**
 * The number of runs of a property. The first argument of the test file multiplies it: `node test/…/encode.test.ts 50`.
 * @param usual number of runs without an argument.
 */
export function runs(usual: number): number {
  return usual * Number(process.argv[2] ?? 1)
}
