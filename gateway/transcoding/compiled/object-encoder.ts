/**
 * Writes a JSON object as a message: the values are sorted into the order of the fields' numbers, which is the
 * reference's too, and each is checked by the rules of its field on the way.
 */
import type { DescMessage, JsonValue } from '@bufbuild/protobuf'
import { isCarried } from '#runtime/grpc/contract.ts'
import { fallBack } from './fallback.ts'
import { compileFieldEncoder, type EncoderOf, type MessageEncoder } from './field-encoder.ts'

// Far from the reference's limit of 100, and beyond what a body or a parameter's name can nest.
const MAX_DEPTH = 80

/** @param takesCarried whether the fields that headers carry are in the JSON too. */
export function compileObjectEncoder(schema: DescMessage, encoderOf: EncoderOf, takesCarried: boolean): MessageEncoder {
  const fields = schema.fields
    .filter(field => takesCarried || !isCarried(field))
    .toSorted((a, b) => a.number - b.number)
  const places = new Map<string, number>()
  for (const [index, { name, jsonName }] of fields.entries()) places.set(name, index).set(jsonName, index)
  const writers = fields.map(field => compileFieldEncoder(field, encoderOf))
  const oneofs = schema.oneofs
    .map(({ fields: members }) => members.map(member => fields.indexOf(member)))
    .filter(members => members.length > 1)
  const unset: (JsonValue | undefined)[] = fields.map(() => undefined)

  return (writer, json, depth) => {
    if (typeof json !== 'object' || json === null || Array.isArray(json) || depth > MAX_DEPTH) fallBack()
    const values = unset.slice()
    for (const name of Object.keys(json)) {
      const index = places.get(name)
      // Not known, or given under its other name before.
      if (index === undefined || values[index] !== undefined) fallBack()
      values[index] = json[name]
    }
    for (const members of oneofs) {
      let given = 0
      for (const index of members) if (values[index] !== undefined) given++
      if (given > 1) fallBack()
    }
    for (let index = 0; index < writers.length; index++) {
      const { isRequired, takesNull, write } = writers[index] as (typeof writers)[number]
      const value = values[index]
      if (value !== undefined && (value !== null || takesNull)) write(writer, value, depth)
      else if (isRequired) fallBack()
    }
  }
}
