/**
 * Reads the options of `buf.validate` (protovalidate) of a contract. A contract of another team may use them; the
 * contract of Gatehouse uses `edge.v1.rules`.
 */
import { type DescField, type DescMessage, type DescOneof, getOption, hasOption } from '@bufbuild/protobuf'
import {
  type FieldRules,
  FieldRulesSchema,
  field as fieldOption,
  Ignore,
  type MessageRules,
  message as messageOption,
  type OneofRules,
  oneof as oneofOption,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'

export type { FieldRules, MessageRules }
export { Ignore }

/** Returns the option `(buf.validate.field)` of a field; undefined if it is not set. */
export function validateRulesOf(field: DescField): FieldRules | undefined {
  return hasOption(field, fieldOption) ? getOption(field, fieldOption) : undefined
}

/** Returns the option `(buf.validate.message)` of a message; undefined if it is not set. */
export function messageRulesOf(message: DescMessage): MessageRules | undefined {
  return hasOption(message, messageOption) ? getOption(message, messageOption) : undefined
}

/** Returns the option `(buf.validate.oneof)` of a oneof; undefined if it is not set. */
export function oneofRulesOf(oneof: DescOneof): OneofRules | undefined {
  return hasOption(oneof, oneofOption) ? getOption(oneof, oneofOption) : undefined
}

/** Whether `(buf.validate.oneof).required` demands a member of the oneof. */
export function isRequiredOneof(oneof: DescOneof): boolean {
  return oneofRulesOf(oneof)?.required ?? false
}

/**
 * Returns when the rules of a field are ignored. A field that a message rule `oneof` names is ignored with its zero
 * value, unless the field says otherwise.
 */
export function ignoreOf(field: DescField, rules: FieldRules | undefined): Ignore {
  // An unset field of proto2 is inherited from the prototype of the message.
  if (rules !== undefined && Object.hasOwn(rules, FieldRulesSchema.field.ignore.localName)) return rules.ignore
  const isInOneof = messageRulesOf(field.parent)?.oneof.some(({ fields }) => fields.includes(field.name))
  return isInOneof ? Ignore.IF_ZERO_VALUE : Ignore.UNSPECIFIED
}

/** Whether the message, one of its fields or one of its oneofs has rules. Messages in its fields are not considered. */
export function hasOwnValidateRules(message: DescMessage): boolean {
  return (
    hasOption(message, messageOption) ||
    message.fields.some(field => hasOption(field, fieldOption)) ||
    message.oneofs.some(oneof => hasOption(oneof, oneofOption))
  )
}

/** Whether the message or a message that it can contain has rules. */
export function hasValidateRules(message: DescMessage): boolean {
  for (const type of containedMessages(message)) if (hasOwnValidateRules(type)) return true
  return false
}

/** Yields the message and all messages that it can contain, each once. */
export function* containedMessages(message: DescMessage, seen = new Set<DescMessage>()): Iterable<DescMessage> {
  if (seen.has(message)) return
  seen.add(message)
  yield message
  for (const field of message.fields) if (field.message !== undefined) yield* containedMessages(field.message, seen)
}
