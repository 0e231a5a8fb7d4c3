/**
 * Fields that the edge takes out of a response or puts into a request: cookies, entity tags and revocations. It looks for them in the
 * message itself, and in the members of an inline oneof. One that stood deeper would leave as JSON, a secret with it, so
 * such a contract is refused.
 */
import { type DescField, type DescMessage, type DescMethod, type DescOneof, ScalarType } from '@bufbuild/protobuf'
import { ContractError, type Cookie, cookieOf, isEtag, isIfMatch, isInline } from '#runtime/grpc/contract.ts'

/** The oneof whose member's JSON stands in the place of the message's. */
export function inlineOneof(message: DescMessage): DescOneof | undefined {
  return message.oneofs.find(isInline)
}

/** The messages that one response may consist of: one, but for an inline oneof. */
function answerMessages(message: DescMessage): readonly DescMessage[] {
  const oneof = inlineOneof(message)
  return oneof === undefined ? [message] : oneof.fields.flatMap(field => field.message ?? [])
}

/** The fields that an answer may show at its top. */
export function answerFields(message: DescMessage): readonly DescField[] {
  return answerMessages(message).flatMap(({ fields }) => fields)
}

/** A string field that travels as a cookie. */
export interface CookieField {
  readonly field: DescField
  /** Name, path and `SameSite` of the cookie. */
  readonly cookie: Cookie
  /** The int32 field beside it that holds the cookie's `Max-Age` in seconds; undefined if the contract names none. */
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

export function isRevocation(field: DescField): boolean {
  return field.message?.typeName === 'edge.v1.Revocation'
}

/** @throws ContractError for the first field that the edge could not serve. */
export function assertEdgeFields({ input, output }: DescMethod): void {
  for (const field of input.fields) {
    const cookie = cookieOf(field)
    if (cookie !== undefined) assertCookie(field, cookie)
    if (isIfMatch(field) && !isStrings(field)) throw fault(field, 'if_match is a list of strings')
  }
  assertNoneBelow(input)
  assertOwnNames(input)
  assertOwnNames(output)
  assertInline(output)
  for (const message of answerMessages(output)) {
    for (const field of message.fields) {
      if (isEtag(field) && field.scalar !== ScalarType.STRING) throw fault(field, 'an etag is a string')
      const cookie = cookieOf(field)
      if (cookie === undefined) continue
      assertCookie(field, cookie)
      if (!hasPresence(field))
        throw fault(field, 'a cookie of a response is `optional`: unset leaves it, empty clears it')
    }
    assertNoneBelow(message)
  }
}

function assertCookie(field: DescField, { name, maxAgeField }: Cookie): void {
  if (name === '') throw fault(field, 'the cookie has no name')
  if (field.fieldKind !== 'scalar' || field.scalar !== ScalarType.STRING) throw fault(field, 'a cookie is a string')
  if (maxAgeField === '') return
  const maxAge = field.parent.fields.find(candidate => candidate.name === maxAgeField)
  if (maxAge?.fieldKind !== 'scalar' || maxAge.scalar !== ScalarType.INT32) {
    throw fault(field, `max_age_field ${maxAgeField} is not an int32 beside it`)
  }
}

// google.protobuf.FeatureSet.FieldPresence.IMPLICIT
const IMPLICIT_PRESENCE = 2

function hasPresence(field: DescField): boolean {
  return field.presence !== IMPLICIT_PRESENCE
}

function isStrings(field: DescField): boolean {
  return field.fieldKind === 'list' && field.scalar === ScalarType.STRING
}

function assertInline(output: DescMessage): void {
  const oneof = inlineOneof(output)
  if (oneof === undefined) return
  const isAll = output.fields.length === oneof.fields.length
  if (!isAll || oneof.fields.some(field => field.fieldKind !== 'message')) {
    throw new ContractError(`${output.typeName}.${oneof.name}: an inline oneof is all of its message, and of messages`)
  }
}

/**
 * @bufbuild/protobuf merges a message into what an object has under the field's name already. Where every object inherits
 * something of that name, such as `hasOwnProperty`, that would be one value for all requests.
 */
function assertOwnNames(message: DescMessage, seen = new Set<DescMessage>()): void {
  if (seen.has(message)) return
  seen.add(message)
  for (const field of message.fields) {
    if (field.fieldKind === 'message' && field.localName in Object.prototype) {
      throw fault(field, 'every JavaScript object has something of this name: a field of a message type needs another')
    }
    if (field.message !== undefined) assertOwnNames(field.message, seen)
  }
}

function assertNoneBelow(message: DescMessage, seen = new Set<DescMessage>()): void {
  for (const { message: below } of message.fields) {
    if (below === undefined || seen.has(below) || below.typeName === 'edge.v1.Revocation') continue
    seen.add(below)
    for (const field of below.fields) {
      if (cookieOf(field) !== undefined) throw fault(field, 'a cookie is a field of the request or response itself')
      if (isIfMatch(field)) throw fault(field, 'if_match is a field of the request itself')
      if (isRevocation(field)) throw fault(field, 'a revocation is a field of the response itself')
    }
    assertNoneBelow(below, seen)
  }
}

function fault(field: DescField, reason: string): ContractError {
  return new ContractError(`${field.parent.typeName}.${field.name}: ${reason}`)
}
