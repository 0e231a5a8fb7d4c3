/**
 * Compiles the encoder of a message type whose ProtoJSON is an object. It orders the values by field number, as
 * @bufbuild/protobuf does, and checks the field rules while writing.
 */
import type { DescField, DescMessage, JsonValue } from '@bufbuild/protobuf'
import { isHeaderField } from '#runtime/grpc/contract.ts'
import { requiredChoices } from './encoder-rules.ts'
import { fallBack } from './fallback.ts'
import { compileFieldEncoder, type EncoderContext, type MessageEncoder } from './field-encoder.ts'

// Below the limit of @bufbuild/protobuf (100), above what a body or a parameter name can nest (64).
const MAX_DEPTH = 80

/** @param includesHeaderFields whether the JSON also has the fields that headers carry, as a request message does. */
export function compileObjectEncoder(
  schema: DescMessage,
  context: EncoderContext,
  includesHeaderFields: boolean,
): MessageEncoder {
  const fields = schema.fields
    .filter(field => includesHeaderFields || !isHeaderField(field))
    .toSorted((a, b) => a.number - b.number)
  const indexes = new Map<string, number>()
  for (const [index, { name, jsonName }] of fields.entries()) indexes.set(name, index).set(jsonName, index)
  const encoders = fields.map(field => compileFieldEncoder(field, context))
  const indexesOf = (members: readonly DescField[]) => members.map(member => fields.indexOf(member))
  const oneofs = schema.oneofs.map(oneof => indexesOf(oneof.fields)).filter(members => members.length > 1)
  const required = requiredChoices(schema).map(indexesOf)
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
    // The value null leaves it to the reference codec whether the member is set.
    for (const members of required) if (!members.some(index => values[index] != null)) fallBack()
    for (let index = 0; index < encoders.length; index++) {
      const { isRequired, acceptsNull, write } = encoders[index] as (typeof encoders)[number]
      const value = values[index]
      if (value !== undefined && (value !== null || acceptsNull)) write(writer, value, depth)
      else if (isRequired) fallBack()
    }
  }
}
