/** The responses of an OpenAPI operation: the success response and the problem documents. */
import { AccessLevel, isEtag, isIfMatch } from '#runtime/grpc/contract.ts'
import { returnsRawBody } from './http-body.ts'
import type { JsonSchema } from './json-schema.ts'
import { type OpenApiSchemas, RAW_CONTENT, visibleFields } from './openapi-schemas.ts'
import { isStream, type Route } from './route-table.ts'

/** The schema of a problem document, under `components.schemas.Problem`. */
export const PROBLEM_SCHEMA: JsonSchema = {
  type: 'object',
  description: 'Problem document of an error (RFC 9457).',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'trace_id'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'Explanation of the error for people. The wording may change.' },
    instance: { type: 'string', description: 'Path of the request.' },
    code: { type: 'string', description: 'Stable error code for programs.' },
    trace_id: { type: 'string', description: 'ID of the trace, which also appears in the logs.' },
    errors: {
      type: 'array',
      description: 'Violations, one per invalid field.',
      items: {
        type: 'object',
        required: ['field', 'description'],
        properties: { field: { type: 'string' }, description: { type: 'string' } },
      },
    },
    details: {
      type: 'array',
      description: 'Further details, each a google.protobuf.Any in ProtoJSON. Unknown types have the base64 `value`.',
      items: { type: 'object', required: ['@type'], properties: { '@type': { type: 'string' } } },
    },
  },
}

const DESCRIPTIONS: Record<number, string> = {
  400: 'The request is invalid. `errors` lists the invalid fields.',
  401: 'The access token is missing, invalid, expired or revoked.',
  403: 'The caller is not allowed to call this method.',
  404: 'The resource does not exist.',
  409: 'The request conflicts with the current state of the resource.',
  412: 'The entity tag of the resource is not in `If-Match`.',
  429: 'Too many requests or open streams. Retry after the time in `Retry-After`.',
  503: 'A service is unavailable. Retry after the time in `Retry-After`.',
}

export function responsesOf(route: Route, schemas: OpenApiSchemas): object {
  const { policy, descriptor, template } = route
  const status = policy.successStatus || 200
  const isSignedIn = policy.access === AccessLevel.USER || policy.access === AccessLevel.ROLES
  const hasInput = visibleFields(descriptor.input).length > 0
  const problems = [
    ...(hasInput ? [400] : []),
    ...(isSignedIn || policy.access === AccessLevel.OPTIONAL ? [401] : []),
    ...(policy.access === AccessLevel.ROLES ? [403] : []),
    ...(template.variables.length > 0 ? [404] : []),
    ...(route.httpMethod === 'POST' ? [409] : []),
    ...(descriptor.input.fields.some(isIfMatch) ? [412] : []),
    429,
    503,
  ]
  const problem = { content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } }
  return {
    [status]: success(route, status, schemas),
    ...(route.httpMethod === 'GET' &&
      descriptor.output.fields.some(isEtag) && { 304: { description: 'The client already has this version.' } }),
    ...Object.fromEntries(problems.map(code => [code, { description: DESCRIPTIONS[code], ...problem }])),
    default: { description: 'Any other error.', ...problem },
  }
}

const RAW_BODY = 'Success. Content-Type is the media type of the content.'
const RAW_STREAM = `${RAW_BODY} If the stream fails, the connection is closed before the end of the body.`

function success(route: Route, status: number, schemas: OpenApiSchemas): object {
  if (status === 204) return { description: 'Success, no content.' }
  const { descriptor, responseField } = route
  const headers = { ETag: { description: 'Entity tag for If-Match and If-None-Match.', schema: { type: 'string' } } }
  const hasTag = !isStream(route) && descriptor.output.fields.some(isEtag)
  if (returnsRawBody(route)) {
    const description = isStream(route) ? RAW_STREAM : RAW_BODY
    return { description, ...(hasTag && { headers }), content: RAW_CONTENT }
  }
  const schema =
    responseField === undefined
      ? schemas.refTo(descriptor.output, 'response')
      : schemas.ofField(responseField, 'response')
  if (isStream(route)) {
    const description = 'A stream of messages, one per line or event. If it fails, the last line or event is an error.'
    return { description, content: { 'application/x-ndjson': { schema }, 'text/event-stream': { schema } } }
  }
  return { description: 'Success.', ...(hasTag && { headers }), content: { 'application/json': { schema } } }
}
