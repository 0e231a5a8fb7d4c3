/** The compiled codec beside the reference, and how often it has asked it. */
import { deepStrictEqual } from 'node:assert/strict'
import type { DescMessage, FileRegistry } from '@bufbuild/protobuf'
import type { Route } from '../../../../gateway/contract/route-table.ts'
import type { Codec, DecodedResponse, RequestInput } from '../../../../gateway/transcoding/codec.ts'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { createReferenceCodec } from '../../../../gateway/transcoding/reference/reference-codec.ts'
import { comparable, outcomeOf } from './comparing-codec.ts'

export interface CodecPair {
  /** @throws AssertionError unless both make the same of it. */
  encode(input: RequestInput): void
  decode(message: Uint8Array): void
  readonly tally: Tally
}

/** What became of all that was given to the pairs which count here. */
export interface Tally {
  taken: number
  refused: number
  /** Of those taken. */
  withoutReference: number
}

export function newTally(): Tally {
  return { taken: 0, refused: 0, withoutReference: 0 }
}

export function codecPair(route: Route, registry: FileRegistry, tally = newTally()): CodecPair {
  const reference = createReferenceCodec(route, registry)
  let asked = 0
  const counted: Codec = {
    encode(input) {
      asked++
      return reference.encode(input)
    },
    decode(message) {
      asked++
      return reference.decode(message)
    },
  }
  const compiled = createCompiledCodec(route, registry, counted)
  return {
    tally,
    encode: input => agree(codec => codec.encode(input)),
    decode: message => agree(codec => codec.decode(message)),
  }

  function agree(run: (codec: Codec) => Uint8Array | DecodedResponse): void {
    const expected = outcomeOf(() => run(reference))
    const before = asked
    deepStrictEqual(comparable(outcomeOf(() => run(compiled))), comparable(expected))
    if ('error' in expected) tally.refused++
    else {
      tally.taken++
      if (asked === before) tally.withoutReference++
    }
  }
}

export interface RouteParts {
  /** Names of fields of the request. */
  readonly variables?: readonly string[]
  /** `*`, the name of a field, or none. */
  readonly body?: string | undefined
  /** The name of a field. */
  readonly responseBody?: string | undefined
}

/** A route with the message as its request and its response, as far as a codec looks at it. */
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
