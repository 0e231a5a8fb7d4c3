/**
 * Compiles the encoder of a message type whose ProtoJSON is an object. It orders the values by field number, as
 * @bufbuild/protobuf does, and checks the field rules while writing.
 */
import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import { isHeaderField } from '#runtime/grpc/contract.ts'
import { fallBack } from './fallback.ts'
import { compileFieldEncoder, type EncoderOf, type MessageEncoder } from './field-encoder.ts'

// Below the limit of @bufbuild/protobuf (100), above what a body or a parameter name can nest (64).
const MAX_DEPTH = 80

/** @param includesHeaderFields whether the JSON also has the fields that headers carry, as a request message does. */
export function compileObjectEncoder(
  schema: DescMessage,
  encoderOf: EncoderOf,
  includesHeaderFields: boolean,
): MessageEncoder {
  const fields = schema.fields
    .filter(field => includesHeaderFields || !isHeaderField(field))
    .toSorted((a, b) => a.number - b.number)
  const indexes = new Map<string, number>()
  for (const [index, { name, jsonName }] of fields.entries()) indexes.set(name, index).set(jsonName, index)
  const encoders = fields.map(field => compileFieldEncoder(field, encoderOf))
  const oneofs = schema.oneofs
    .map(({ fields: members }) => members.map(member => fields.indexOf(member)))
    .filter(members => members.length > 1)
  const unset: (JsonValue | undefined)[] = fields.map(() => undefined)

  return (writer, json, depth) => {
    if (typeof json !== 'object' || json === null || Array.isArray(json) || depth > MAX_DEPTH) fallBack()
    const values = unset.slice()
    for (const name of Object.keys(json)) {
      const index = indexes.get(name)
      // The name is unknown, or the field is also given under its other name.
      if (index === undefined || values[index] !== undefined) fallBack()
      values[index] = json[name]
    }
    for (const members of oneofs) {
      let given = 0
      for (const index of members) if (values[index] !== undefined) given++
      if (given > 1) fallBack()
    }
    for (let index = 0; index < encoders.length; index++) {
      const { isRequired, acceptsNull, write } = encoders[index] as (typeof encoders)[number]
      const value = values[index]
      if (value !== undefined && (value !== null || acceptsNull)) write(writer, value, depth)
      else if (isRequired) fallBack()
    }
  }
}
