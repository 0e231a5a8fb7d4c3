/** The success responses of an OpenAPI operation. openapi-problems.ts has the error responses. */
import { isEtag } from '#runtime/grpc/contract.ts'
import { returnsRawBody } from '../http-body.ts'
import { isStream, type Route } from '../route-table.ts'
import { headerRef, rateLimitHeaders } from './problems.ts'
import { type OpenApiSchemas, RAW_CONTENT } from './schemas.ts'

/** @param isLimited whether a rate limit applies to the method. */
export function successResponsesOf(route: Route, schemas: OpenApiSchemas, isLimited: boolean): Record<string, object> {
  const status = route.policy.successStatus || 200
  const hasTag = !isStream(route) && route.descriptor.output.fields.some(isEtag)
  const fields = { ...(isLimited && rateLimitHeaders()), ...(hasTag && { ETag: headerRef('ETag') }) }
  const headers = Object.keys(fields).length > 0 && { headers: fields }
  const isConditional = route.httpMethod === 'GET' && route.descriptor.output.fields.some(isEtag)
  return {
    [status]: { ...success(route, status, schemas), ...headers },
    ...(isConditional && { 304: { description: 'The client already has this version.', ...headers } }),
  }
}

const RAW_BODY = 'Success. Content-Type is the media type of the content.'
const RAW_STREAM = `${RAW_BODY} If the stream fails, the connection is closed before the end of the body.`

function success(route: Route, status: number, schemas: OpenApiSchemas): object {
  if (status === 204) return { description: 'Success, no content.' }
  if (returnsRawBody(route)) return { description: isStream(route) ? RAW_STREAM : RAW_BODY, content: RAW_CONTENT }
  const { descriptor, responseField } = route
  const schema =
    responseField === undefined
      ? schemas.refTo(descriptor.output, 'response')
      : schemas.ofField(responseField, 'response')
  const content = { schema, ...examplesOf(route, schema, schemas) }
  if (isStream(route)) {
    const description = 'A stream of messages, one per line or event. If it fails, the last line or event is an error.'
    return { description, content: { 'application/x-ndjson': content, 'text/event-stream': content } }
  }
  return { description: 'Success.', content: { 'application/json': content } }
}

/** Returns the `examples` member of a response: those of its schema, which are under `components.examples`. */
function examplesOf({ descriptor, responseField }: Route, schema: object, schemas: OpenApiSchemas): object {
  if (responseField !== undefined) {
    const example = schemas.examples.ofField(responseField, 'response')
    return example === undefined ? {} : { example }
  }
  const ref = (schema as { $ref?: string }).$ref
  if (ref === undefined) {
    const example = schemas.examples.ofMessage(descriptor.output, 'response')
    return example === undefined ? {} : { example }
  }
  const examples = schemas.sharedExamples(ref.slice(ref.lastIndexOf('/') + 1))
  return Object.keys(examples).length > 0 ? { examples } : {}
}
