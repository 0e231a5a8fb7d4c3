/** The update mask of a request (AIP-134): which field it is, and which message its paths refer to. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { takesRawBody } from './http-body.ts'
import { messageKind } from './json-schema.ts'
import type { Route } from './route-table.ts'

/** Returns the field `update_mask` of type FieldMask outside of a oneof; undefined if the message has none. */
export function updateMaskOf({ fields }: DescMessage): DescField | undefined {
  const mask = fields.find(field => field.name === 'update_mask')
  const isUpdateMask = mask?.fieldKind === 'message' && messageKind(mask.message) === 'field-mask'
  return isUpdateMask && mask.oneof === undefined ? mask : undefined
}

/** Returns the field that the update mask refers to: the body, or the only message of the request besides masks. */
export function resourceOf(route: Route): DescField | undefined {
  const { body, descriptor } = route
  if (takesRawBody(route)) return undefined
  if (body.kind !== 'field') return onlyMessage(descriptor.input)
  const { field } = body
  return field.fieldKind === 'message' && messageKind(field.message) !== 'field-mask' ? field : undefined
}

/** Returns the field of the only message in a message, apart from those of well-known types. */
export function onlyMessage({ fields }: DescMessage): DescField | undefined {
  const messages = fields.filter(isPlainMessage)
  return messages.length === 1 ? messages[0] : undefined
}

/** Whether the fields of the value are updated one by one. Lists, maps and well-known types are replaced as a whole. */
export function isPlainMessage({ fieldKind, message }: DescField): boolean {
  return fieldKind === 'message' && isPlain(message)
}

export function isPlain(message: DescMessage | undefined): message is DescMessage {
  return message?.typeName.startsWith('google.protobuf.') === false
}
