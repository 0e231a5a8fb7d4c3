/** How clients name the fields of a message: as its JSON does or as its proto does, and never those that a header carries. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { isCarried } from '#runtime/grpc/contract.ts'

const known = new WeakMap<DescMessage, ReadonlyMap<string, DescField>>()

/** The fields that a client may give, by both of their names. */
export function fieldsByName(message: DescMessage): ReadonlyMap<string, DescField> {
  let names = known.get(message)
  if (names === undefined) {
    const fields = message.fields.filter(field => !isCarried(field))
    // The JSON names come last: where one equals another field's proto name, ProtoJSON prefers it.
    names = new Map([
      ...fields.map(field => [field.name, field] as const),
      ...fields.map(field => [field.jsonName, field] as const),
    ])
    known.set(message, names)
  }
  return names
}
