/** The API document, OpenAPI 3.1, made from the routes: what the gateway serves and this document cannot drift apart. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { AccessLevel, isEtag, isIfMatch } from '#runtime/grpc/contract.ts'
import { cookieFields } from './edge-fields.ts'
import type { JsonSchema } from './json-schema.ts'
import { createOpenApiSchemas, type OpenApiSchemas, visibleFields } from './openapi-schemas.ts'
import type { Variable } from './path-template.ts'
import { commentOf } from './proto-comments.ts'
import { isStream, type Route } from './route-table.ts'

export interface ApiInfo {
  title: string
  version: string
  /** Where clients reach the gateway. */
  publicUrl: string
}

const PROBLEM: JsonSchema = {
  type: 'object',
  description: 'An error, RFC 9457.',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'trace_id'],
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'For people.' },
    instance: { type: 'string', description: 'The path that was asked for.' },
    code: { type: 'string', description: 'Stable, for programs.' },
    trace_id: { type: 'string', description: 'Finds the request in the logs.' },
    errors: {
      type: 'array',
      description: 'What is wrong, by field.',
      items: {
        type: 'object',
        required: ['field', 'description'],
        properties: { field: { type: 'string' }, description: { type: 'string' } },
      },
    },
  },
}

const REASONS: Record<number, string> = {
  400: 'The request is not valid; `errors` names the fields',
  401: 'Not signed in, or the token is no longer good',
  403: 'Signed in, but not allowed',
  404: 'There is no such thing',
  409: 'It contradicts what is there',
  412: 'What is there has none of the tags of `If-Match`',
  429: 'More requests than are allowed; `Retry-After` says when to come again',
  503: 'A part of the system is away; `Retry-After` says when to come again',
}

export function buildOpenApi(routes: readonly Route[], { title, version, publicUrl }: ApiInfo): object {
  const schemas = createOpenApiSchemas()
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = pathOf(route)
    const item = paths[path] ?? {}
    item[route.httpMethod.toLowerCase()] = operation(route, routes, schemas)
    paths[path] = item
  }
  const services = new Set(routes.map(route => route.descriptor.parent))
  return {
    openapi: '3.1.0',
    info: { title, version },
    servers: [{ url: publicUrl }],
    tags: [...services].map(service => ({ name: service.name, description: commentOf(service) ?? '' })),
    paths,
    components: {
      schemas: { ...schemas.components, Problem: PROBLEM },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        ...cookieSchemes(routes),
      },
    },
  }
}

function operation(route: Route, routes: readonly Route[], schemas: OpenApiSchemas): object {
  const { descriptor, policy } = route
  const comment = commentOf(descriptor) ?? descriptor.name
  const roles = policy.roles.length > 0 ? `\n\nTakes one of the roles ${policy.roles.join(', ')}.` : ''
  return {
    operationId: operationId(route, routes),
    tags: [descriptor.parent.name],
    summary: summaryOf(comment),
    description: comment + roles,
    ...(policy.roles.length > 0 && { 'x-roles': policy.roles }),
    parameters: [...pathParameters(route, schemas), ...queryParameters(route, schemas), ...conditions(route)],
    ...requestBody(route, schemas),
    responses: responses(route, schemas),
    security: security(route),
  }
}

/** Unique also where a method has several bindings. */
function operationId(route: Route, routes: readonly Route[]): string {
  const bindings = routes.filter(other => other.descriptor === route.descriptor)
  const index = bindings.indexOf(route)
  return `${route.descriptor.parent.name}_${route.descriptor.name}${index === 0 ? '' : index + 1}`
}

function summaryOf(comment: string): string {
  const [first = ''] = comment.replaceAll('\n', ' ').split(/(?<=[.;:])\s/, 1)
  return first.replace(/[.;:]$/, '')
}

function pathOf({ template }: Route): string {
  const { segments, variables, verb } = template
  const parts: string[] = []
  for (let at = 0; at < segments.length; at++) {
    const variable = variables.find(({ start }) => start === at)
    const segment = segments[at]
    if (variable !== undefined) {
      parts.push(`{${parameterName(variable)}}`)
      at = variable.end - 1
    } else parts.push(segment?.kind === 'literal' ? segment.text : `{segment${at}}`)
  }
  return `/${parts.join('/')}${verb === undefined ? '' : `:${verb}`}`
}

function parameterName({ fieldPath }: Variable): string {
  return fieldPath.join('.')
}

function pathParameters({ template, descriptor }: Route, schemas: OpenApiSchemas): object[] {
  const { segments, variables } = template
  const named = variables.map(variable => {
    const field = fieldAt(descriptor.input, variable.fieldPath)
    const { description, ...schema } = schemas.ofField(field)
    const spans = variable.isMultiple
      ? `Spans several segments: ${shapeOf(segments.slice(variable.start, variable.end))}.`
      : ''
    const text = [description, spans].filter(part => part).join(' ')
    return { name: parameterName(variable), in: 'path', required: true, schema, ...(text && { description: text }) }
  })
  const unnamed = segments.flatMap((segment, at) => {
    const isTaken = variables.some(({ start, end }) => at >= start && at < end)
    if (segment.kind === 'literal' || isTaken) return []
    return [{ name: `segment${at}`, in: 'path', required: true, schema: { type: 'string' } }]
  })
  return [...named, ...unnamed]
}

function shapeOf(segments: Route['template']['segments']): string {
  return segments
    .map(segment => (segment.kind === 'literal' ? segment.text : segment.kind === 'rest' ? '**' : '*'))
    .join('/')
}

function fieldAt(message: DescMessage, fieldPath: readonly string[]): DescField {
  const [name, ...rest] = fieldPath
  const field = message.fields.find(candidate => candidate.name === name) as DescField
  return rest.length === 0 ? field : fieldAt(field.message as DescMessage, rest)
}

/** Fields of messages in messages are left out: a client may give them by their dotted path, but a list has no end. */
function queryParameters(route: Route, schemas: OpenApiSchemas): object[] {
  if (route.body.kind === 'message') return []
  return unbound(route)
    .filter(field => field.fieldKind !== 'map' && schemas.ofField(field)['$ref'] === undefined)
    .map(field => {
      const { description, ...schema } = schemas.ofField(field)
      return { name: field.jsonName, in: 'query', schema, ...(description ? { description } : {}) }
    })
}

function conditions({ descriptor, httpMethod }: Route): object[] {
  const schema = { type: 'string' }
  const ifMatch = descriptor.input.fields.find(isIfMatch)
  const description = 'The tags, in quotes, of which what is there must have one; `*` is any'
  return [
    ...(ifMatch === undefined ? [] : [{ name: 'If-Match', in: 'header', schema, description }]),
    ...(httpMethod === 'GET' && descriptor.output.fields.some(isEtag)
      ? [{ name: 'If-None-Match', in: 'header', schema, description: 'The tags of what the client has already' }]
      : []),
  ]
}

/** The fields that neither the path nor a body of its own gives. */
function unbound({ descriptor, template, body }: Route): DescField[] {
  const inPath = new Set(template.variables.map(({ fieldPath }) => fieldPath[0]))
  return visibleFields(descriptor.input).filter(
    field => !inPath.has(field.name) && !(body.kind === 'field' && body.field === field),
  )
}

function requestBody(route: Route, schemas: OpenApiSchemas): object {
  if (route.body.kind === 'none') return {}
  const schema =
    route.body.kind === 'field'
      ? schemas.ofField(route.body.field)
      : schemas.propertiesOf(route.descriptor.input, unbound(route))
  return { requestBody: { content: { 'application/json': { schema } } } }
}

function responses(route: Route, schemas: OpenApiSchemas): object {
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
      descriptor.output.fields.some(isEtag) && { 304: { description: 'The client has it already' } }),
    ...Object.fromEntries(problems.map(code => [code, { description: REASONS[code], ...problem }])),
    default: { description: 'Any other error', ...problem },
  }
}

function success(route: Route, status: number, schemas: OpenApiSchemas): object {
  if (status === 204) return { description: 'Done' }
  const { descriptor, responseField } = route
  const schema = responseField === undefined ? schemas.refTo(descriptor.output) : schemas.ofField(responseField)
  if (isStream(route)) {
    const description = 'One after the other: a line each, or an event each; an error, if it ends in one, is the last'
    return { description, content: { 'application/x-ndjson': { schema }, 'text/event-stream': { schema } } }
  }
  const headers = { ETag: { description: 'For If-Match and If-None-Match', schema: { type: 'string' } } }
  const hasTag = descriptor.output.fields.some(isEtag)
  return { description: 'Done', ...(hasTag && { headers }), content: { 'application/json': { schema } } }
}

function security({ policy, descriptor }: Route): object[] {
  const byCookie = cookieFields(descriptor.input).map(({ cookie }) => ({ [cookie.name]: [] }))
  if (policy.access === AccessLevel.USER || policy.access === AccessLevel.ROLES) return [{ bearer: [] }]
  if (policy.access === AccessLevel.OPTIONAL) return [{}, { bearer: [] }, ...byCookie]
  return byCookie.length > 0 ? [{}, ...byCookie] : []
}

function cookieSchemes(routes: readonly Route[]): Record<string, object> {
  const names = routes.flatMap(({ descriptor }) => cookieFields(descriptor.input).map(({ cookie }) => cookie.name))
  return Object.fromEntries(names.map(name => [name, { type: 'apiKey', in: 'cookie', name }]))
}
