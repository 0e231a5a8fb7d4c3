/**
 * Reads `google.api.field_behavior` (AIP-203) of the fields of a request.
 *
 * - REQUIRED: a request must set the field. docs/contract.md has the exception for updates with a mask.
 * - OUTPUT_ONLY: the service sets the field. AIP-203 demands that a request with it succeeds and that the value has no
 *   effect, because clients send back resources that they have read.
 * - IMMUTABLE: the service compares the value with the stored one, which the gateway does not know.
 */
import { type DescField, type DescMessage, getOption, hasOption } from '@bufbuild/protobuf'
import { FieldBehavior, field_behavior } from '#proto/google/api/field_behavior_pb.js'
import { containedMessages } from './validate-options.ts'

/** Whether the service alone sets the field, so that a request has no influence on it. */
export function isOutputOnly(field: DescField): boolean {
  return hasBehavior(field, FieldBehavior.OUTPUT_ONLY)
}

/** Whether the field may be set only when the resource is created. */
export function isImmutable(field: DescField): boolean {
  return hasBehavior(field, FieldBehavior.IMMUTABLE)
}

/** Whether a request must set the field. OUTPUT_ONLY takes precedence, because such a request could not succeed. */
export function isRequiredByBehavior(field: DescField): boolean {
  return hasBehavior(field, FieldBehavior.REQUIRED) && !isOutputOnly(field)
}

/** Returns the OUTPUT_ONLY fields of a message and of all messages that it can contain. */
export function outputOnlyFields(message: DescMessage): ReadonlySet<DescField> {
  return new Set([...containedMessages(message)].flatMap(({ fields }) => fields.filter(isOutputOnly)))
}

/** Whether the message or a message that it can contain has a REQUIRED field. */
export function hasRequiredFields(message: DescMessage): boolean {
  for (const { fields } of containedMessages(message)) if (fields.some(isRequiredByBehavior)) return true
  return false
}

function hasBehavior(field: DescField, behavior: FieldBehavior): boolean {
  return hasOption(field, field_behavior) && getOption(field, field_behavior).includes(behavior)
}
