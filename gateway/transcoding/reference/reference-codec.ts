/**
 * The reference codec defines the behaviour of every codec. It checks structure with JSON Schema, values with
 * @bufbuild/protobuf (which passes the ProtoJSON conformance suite), field rules with the validator of the contract and
 * rules of `buf.validate` with @bufbuild/protovalidate.
 * The compiled codec must produce the same bytes, JSON and errors.
 */
import {
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toBinary,
} from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import { Revocation } from '#proto/edge/v1/revocation.ts'
import { isEtag, isIfMatch } from '#runtime/grpc/contract.ts'
import { compileRules } from '#runtime/grpc/rules.ts'
import { invalidArgument, MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { cookieFields, inlineOneof, isRevocation } from '../../contract/edge-fields.ts'
import { returnsRawBody, takesRawBody } from '../../contract/http-body.ts'
import type { Route } from '../../contract/route-table.ts'
import type { CookieChange } from '../../http/cookies.ts'
import { parseIfMatch } from '../binding/entity-tag.ts'
import { setProtoPaths, takeProtoPaths } from '../binding/field-masks.ts'
import { ownProperty, setProperty } from '../binding/json-fields.ts'
import { takeRawData } from '../binding/raw-body.ts'
import { compileBinding } from '../binding/request-binding.ts'
import type { Codec, DecodedResponse } from '../codec.ts'
import { compileOutputOnly } from '../validation/output-only.ts'
import { compileRequiredFields } from '../validation/required-fields.ts'
import { compileValidation } from '../validation/validate-message.ts'
import { compileAnyCheck } from './any-check.ts'
import { jsonText, messageJson } from './message-json.ts'
import { replaceOtherForms } from './other-forms.ts'
import { compileStructureCheck } from './structure-check.ts'
import { findValueViolations } from './value-violations.ts'

/** Creates the reference codec of a route. @param registry the message types that an Any may contain. */
export function createReferenceCodec(route: Route, registry: FileRegistry): Codec {
  return { encode: compileEncode(route, registry), decode: compileDecode(route, registry) }
}

function compileEncode(route: Route, registry: FileRegistry): Codec['encode'] {
  const { input } = route.descriptor
  const bind = compileBinding(route, registry)
  const checkStructure = compileStructureCheck(input)
  const checkAnys = compileAnyCheck(input, registry)
  const checkRules = compileRules(input)
  const clearOutputOnly = compileOutputOnly(route)
  const checkRequired = compileRequiredFields(route)
  const validate = compileValidation(input, registry, route.body.kind === 'none' ? 'query' : 'body')
  const cookies = cookieFields(input)
  const ifMatch = input.fields.find(isIfMatch)
  const isRaw = takesRawBody(route)
  const bodyField = route.body.kind === 'field' ? route.body.field : undefined

  return request => {
    const json = bind(request)
    const data = isRaw ? takeRawData(json, bodyField) : undefined
    const masks = takeProtoPaths(input, json)
    const structureViolations = [...checkStructure(json), ...(checkAnys?.(json) ?? [])].slice(0, MAX_VIOLATIONS)
    if (structureViolations.length > 0) throw invalidArgument(structureViolations)
    for (const { field, cookie } of cookies) {
      const value = request.cookies[cookie.name]
      if (value !== undefined) setProperty(json as JsonObject, field.jsonName, value)
    }
    if (ifMatch !== undefined && request.ifMatch !== undefined)
      setProperty(json as JsonObject, ifMatch.jsonName, parseIfMatch(request.ifMatch))
    const message = parseMessage(input, json, registry)
    for (const mask of masks) setProtoPaths(reflect(input, message), mask)
    if (data !== undefined) setRawData(reflect(input, message), bodyField, data)
    clearOutputOnly?.(message)
    const violations = checkRules(message)
    if (checkRequired !== undefined || validate !== undefined) {
      addMissing(violations, checkRequired?.(message))
      addMissing(violations, validate?.(message))
    }
    if (violations.length > 0) throw invalidArgument(violations)
    return toBinary(input, message)
  }
}

/** Adds the violations that are not among them: two kinds of rules may both require a field. */
function addMissing(violations: Violation[], more: readonly Violation[] = []): void {
  for (const found of more) {
    const isKnown = violations.some(
      ({ field, description }) => field === found.field && description === found.description,
    )
    if (!isKnown) violations.push(found)
  }
}

function parseMessage(input: DescMessage, json: JsonValue, registry: FileRegistry): Message {
  try {
    return fromJson(input, json, { registry })
  } catch {
    const replaced = replaceOtherForms(input, json, registry)
    try {
      return fromJson(input, replaced, { registry })
    } catch (error) {
      throw invalidArgument(findValueViolations(input, replaced, registry, error))
    }
  }
}

function setRawData(request: ReflectMessage, field: DescField | undefined, data: Uint8Array): void {
  const httpBody = field === undefined ? request : (request.get(field) as ReflectMessage)
  httpBody.set(fieldNumbered(httpBody, DATA), data)
}

// Field numbers of google.api.HttpBody.
const CONTENT_TYPE = 1
const DATA = 2

function fieldNumbered({ fields }: ReflectMessage, number: number): DescField {
  return fields.find(field => field.number === number) as DescField
}

function compileDecode(route: Route, registry: FileRegistry): Codec['decode'] {
  const { output } = route.descriptor
  // `response_body` selects a raw body also from an inline oneof.
  const inline = returnsRawBody(route) ? undefined : inlineOneof(output)
  const memberDecoders = new Map(
    output.fields.map(field => [field, field.message && compileMessageDecode(field.message, registry)]),
  )
  const decodeWhole = compileMessageDecode(output, registry, route)

  return (bytes, enumsAsIntegers = false) => {
    const message = fromBinary(output, bytes)
    if (inline !== undefined) {
      const content = reflect(output, message)
      const member = content.oneofCase(inline)
      const decode = member && memberDecoders.get(member)
      if (member === undefined || decode === undefined)
        throw new Error(`${output.typeName}: no member of ${inline.name} is set`)
      return decode((content.get(member) as { message: Message }).message, enumsAsIntegers)
    }
    return decodeWhole(message, enumsAsIntegers)
  }
}

/**
 * Moves cookies, revocations and the entity tag out of the message, then writes the rest as JSON.
 * @param route undefined for the member of an inline oneof.
 */
function compileMessageDecode(
  schema: DescMessage,
  registry: FileRegistry,
  route?: Route,
): (message: Message, enumsAsIntegers: boolean) => DecodedResponse {
  const responseField = route?.responseField
  const isRaw = route !== undefined && returnsRawBody(route)
  const cookies = cookieFields(schema)
  const revocationFields = schema.fields.filter(isRevocation)
  const etagField = schema.fields.find(isEtag)

  return (message, enumsAsIntegers) => {
    const content = reflect(schema, message)
    const changes: CookieChange[] = []
    for (const { field, cookie, maxAge } of cookies) {
      if (content.isSet(field)) {
        const seconds = maxAge && (content.get(maxAge) as number)
        changes.push({ cookie, value: content.get(field) as string, maxAge: seconds })
      }
      content.clear(field)
    }
    const revocations: Revocation[] = []
    for (const field of revocationFields) {
      for (const entry of entriesOf(content.get(field))) {
        revocations.push(Revocation.decode(toBinary(field.message as DescMessage, entry.message)))
      }
      content.clear(field)
    }
    const etag = (etagField && (content.get(etagField) as string)) || undefined
    if (isRaw) return { ...rawBody(content), cookies: changes, revocations, etag }
    const json = messageJson(schema, message, registry, enumsAsIntegers) as JsonObject
    const body = responseField === undefined ? json : (ownProperty(json, responseField.jsonName) ?? null)
    return { body: jsonText(removeRevocations(body)), cookies: changes, revocations, etag }
  }

  function rawBody(content: ReflectMessage): Pick<DecodedResponse, 'body' | 'contentType'> {
    const httpBody = responseField === undefined ? content : (content.get(responseField) as ReflectMessage)
    return {
      body: httpBody.get(fieldNumbered(httpBody, DATA)) as Uint8Array,
      contentType: httpBody.get(fieldNumbered(httpBody, CONTENT_TYPE)) as string,
    }
  }

  function removeRevocations(body: JsonValue): JsonValue {
    // `alwaysEmitImplicit` writes cleared fields that have no presence.
    if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
      for (const field of revocationFields) delete body[field.jsonName]
    }
    return body
  }
}

/** Returns the messages of a singular or repeated field. */
function entriesOf(value: unknown): { message: Message }[] {
  if (value === undefined) return []
  return Symbol.iterator in (value as object)
    ? [...(value as Iterable<{ message: Message }>)]
    : [value as { message: Message }]
}
