/** The inputs of an OpenAPI operation: path, query and header parameters, and the request body. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { isEtag, isIfMatch } from '#runtime/grpc/contract.ts'
import { type OpenApiSchemas, visibleFields } from './openapi-schemas.ts'
import type { Variable } from './path-template.ts'
import type { Route } from './route-table.ts'

/** Returns the path of a route in OpenAPI notation. A variable of several segments becomes one parameter. */
export function pathOf({ template }: Route): string {
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

export function parametersOf(route: Route, schemas: OpenApiSchemas): object[] {
  return [...pathParameters(route, schemas), ...queryParameters(route, schemas), ...headerParameters(route)]
}

/** Returns the `requestBody` member of an operation; an empty object if the route has no body. */
export function requestBodyOf(route: Route, schemas: OpenApiSchemas): object {
  if (route.body.kind === 'none') return {}
  const schema =
    route.body.kind === 'field'
      ? schemas.ofField(route.body.field)
      : schemas.propertiesOf(route.descriptor.input, unboundFields(route))
  return { requestBody: { content: { 'application/json': { schema } } } }
}

function parameterName({ fieldPath }: Variable): string {
  return fieldPath.join('.')
}

function pathParameters({ template, descriptor }: Route, schemas: OpenApiSchemas): object[] {
  const { segments, variables } = template
  const named = variables.map(variable => {
    const field = fieldAt(descriptor.input, variable.fieldPath)
    const { description, ...schema } = schemas.ofField(field)
    const pattern = variable.isMultiple
      ? `Spans several segments: ${patternOf(segments.slice(variable.start, variable.end))}.`
      : ''
    const text = [description, pattern].filter(part => part).join(' ')
    return { name: parameterName(variable), in: 'path', required: true, schema, ...(text && { description: text }) }
  })
  const unnamed = segments.flatMap((segment, at) => {
    const isNamed = variables.some(({ start, end }) => at >= start && at < end)
    if (segment.kind === 'literal' || isNamed) return []
    return [{ name: `segment${at}`, in: 'path', required: true, schema: { type: 'string' } }]
  })
  return [...named, ...unnamed]
}

function patternOf(segments: Route['template']['segments']): string {
  return segments
    .map(segment => (segment.kind === 'literal' ? segment.text : segment.kind === 'rest' ? '**' : '*'))
    .join('/')
}

function fieldAt(message: DescMessage, fieldPath: readonly string[]): DescField {
  const [name, ...rest] = fieldPath
  const field = message.fields.find(candidate => candidate.name === name) as DescField
  return rest.length === 0 ? field : fieldAt(field.message as DescMessage, rest)
}

/** Omits fields of nested messages. Clients may set them by dotted path, but recursive types have infinitely many. */
function queryParameters(route: Route, schemas: OpenApiSchemas): object[] {
  if (route.body.kind === 'message') return []
  return unboundFields(route)
    .filter(field => field.fieldKind !== 'map' && schemas.ofField(field)['$ref'] === undefined)
    .map(field => {
      const { description, ...schema } = schemas.ofField(field)
      return { name: field.jsonName, in: 'query', schema, ...(description ? { description } : {}) }
    })
}

function headerParameters({ descriptor, httpMethod }: Route): object[] {
  const schema = { type: 'string' }
  const hasIfMatch = descriptor.input.fields.some(isIfMatch)
  const hasIfNoneMatch = httpMethod === 'GET' && descriptor.output.fields.some(isEtag)
  return [
    ...(hasIfMatch ? [{ name: 'If-Match', in: 'header', schema, description: IF_MATCH }] : []),
    ...(hasIfNoneMatch ? [{ name: 'If-None-Match', in: 'header', schema, description: IF_NONE_MATCH }] : []),
  ]
}

const IF_MATCH = 'Entity tags in quotes. The request succeeds only if the resource has one of them; `*` matches any.'
const IF_NONE_MATCH = 'Entity tags in quotes. If the resource has one of them, the response is 304 without a body.'

/** Returns the fields that neither a path variable nor a body field binds. */
function unboundFields({ descriptor, template, body }: Route): DescField[] {
  const inPath = new Set(template.variables.map(({ fieldPath }) => fieldPath[0]))
  return visibleFields(descriptor.input).filter(
    field => !inPath.has(field.name) && !(body.kind === 'field' && body.field === field),
  )
}
