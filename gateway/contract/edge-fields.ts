/**
 * The fields that the edge moves between HTTP headers and messages: cookies, If-Match, entity tags and revocations. The
 * edge looks for them in the request or response message itself and in the members of an inline oneof. A contract with
 * such a field in a nested message is rejected, because its value (often a secret) would be sent as JSON.
 */
import { type DescField, type DescMessage, type DescMethod, type DescOneof, ScalarType } from '@bufbuild/protobuf'
import { FeatureSet_FieldPresence as FieldPresence } from '@bufbuild/protobuf/wkt'
import { ContractError, type Cookie, cookieOf, isEtag, isIfMatch, isInline } from '#runtime/grpc/contract.ts'

/** Returns the oneof whose member replaces its message in JSON; undefined if the message has none. */
export function inlineOneof(message: DescMessage): DescOneof | undefined {
  return message.oneofs.find(isInline)
}

/** Returns the messages that a response can consist of: the members of an inline oneof, or the message itself. */
function responseMessages(message: DescMessage): readonly DescMessage[] {
  const oneof = inlineOneof(message)
  return oneof === undefined ? [message] : oneof.fields.flatMap(field => field.message ?? [])
}

/** Returns the top-level fields of all messages that a response can consist of. */
export function responseFields(message: DescMessage): readonly DescField[] {
  return responseMessages(message).flatMap(({ fields }) => fields)
}

/** A string field that travels as a cookie. */
export interface CookieField {
  readonly field: DescField
  /** Name, path and `SameSite` of the cookie. */
  readonly cookie: Cookie
  /**
   * The int32 field of the same message with the cookie's `Max-Age` in seconds; undefined if the contract names none.
   */
  readonly maxAge: (DescField & { fieldKind: 'scalar' }) | undefined
}

/** Returns the cookie fields of a message, in the order of the contract. Fields of nested messages are not cookies. */
export function cookieFields(message: DescMessage): CookieField[] {
  return message.fields.flatMap(field => {
    const cookie = cookieOf(field)
    if (cookie === undefined) return []
    const maxAge = message.fields.find(candidate => candidate.name === cookie.maxAgeField)
    return [{ field, cookie, maxAge: maxAge?.fieldKind === 'scalar' ? maxAge : undefined }]
  })
}

/** Whether the field holds revocations for the gateway, which are not sent to the client. */
export function isRevocation(field: DescField): boolean {
  return field.message?.typeName === 'edge.v1.Revocation'
}

/** Checks the edge fields of a method. @throws ContractError for the first field that the edge cannot handle. */
export function assertEdgeFields({ input, output }: DescMethod): void {
  for (const field of input.fields) {
    const cookie = cookieOf(field)
    if (cookie !== undefined) assertCookie(field, cookie)
    if (isIfMatch(field) && !isStringList(field)) throw fieldError(field, 'an if_match field must be `repeated string`')
  }
  assertNoneNested(input)
  assertOwnNames(input)
  assertOwnNames(output)
  assertInline(output)
  for (const message of responseMessages(output)) {
    for (const field of message.fields) {
      if (isEtag(field) && field.scalar !== ScalarType.STRING) throw fieldError(field, 'an etag field must be a string')
      const cookie = cookieOf(field)
      if (cookie === undefined) continue
      assertCookie(field, cookie)
      if (field.presence === FieldPresence.IMPLICIT)
        throw fieldError(
          field,
          'a cookie field of a response must be `optional`: unset keeps the cookie, empty deletes it',
        )
    }
    assertNoneNested(message)
  }
}

function assertCookie(field: DescField, { name, maxAgeField }: Cookie): void {
  if (name === '') throw fieldError(field, 'the cookie has no name')
  if (field.fieldKind !== 'scalar' || field.scalar !== ScalarType.STRING) {
    throw fieldError(field, 'a cookie field must be a string')
  }
  if (maxAgeField === '') return
  const maxAge = field.parent.fields.find(candidate => candidate.name === maxAgeField)
  if (maxAge?.fieldKind !== 'scalar' || maxAge.scalar !== ScalarType.INT32) {
    throw fieldError(field, `max_age_field ${maxAgeField} is not an int32 field of the same message`)
  }
}

function isStringList(field: DescField): boolean {
  return field.fieldKind === 'list' && field.scalar === ScalarType.STRING
}

function assertInline(output: DescMessage): void {
  const oneof = inlineOneof(output)
  if (oneof === undefined) return
  const isComplete = output.fields.length === oneof.fields.length
  if (!isComplete || oneof.fields.some(field => field.fieldKind !== 'message')) {
    throw new ContractError(
      `${output.typeName}.${oneof.name}: an inline oneof must contain all fields of its message, and only messages`,
    )
  }
}

/**
 * Rejects message fields with names that objects inherit, such as `hasOwnProperty`. @bufbuild/protobuf merges a message
 * into the existing value of the property; an inherited value would be shared by all requests.
 */
function assertOwnNames(message: DescMessage, seen = new Set<DescMessage>()): void {
  if (seen.has(message)) return
  seen.add(message)
  for (const field of message.fields) {
    if (field.fieldKind === 'message' && field.localName in Object.prototype) {
      throw fieldError(field, 'every JavaScript object has a property of this name: rename the field')
    }
    if (field.message !== undefined) assertOwnNames(field.message, seen)
  }
}

function assertNoneNested(message: DescMessage, seen = new Set<DescMessage>()): void {
  for (const { message: nested } of message.fields) {
    if (nested === undefined || seen.has(nested) || nested.typeName === 'edge.v1.Revocation') continue
    seen.add(nested)
    for (const field of nested.fields) {
      if (cookieOf(field) !== undefined)
        throw fieldError(field, 'a cookie must be a direct field of request or response')
      if (isIfMatch(field)) throw fieldError(field, 'if_match must be a direct field of the request')
      if (isRevocation(field)) throw fieldError(field, 'a revocation must be a direct field of the response')
    }
    assertNoneNested(nested, seen)
  }
}

function fieldError(field: DescField, reason: string): ContractError {
  return new ContractError(`${field.parent.typeName}.${field.name}: ${reason}`)
}
