/** The inputs of an OpenAPI operation: path, query and header parameters, and the request body. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { isEtag, isIfMatch } from '#runtime/grpc/contract.ts'
import { takesRawBody } from '../http-body.ts'
import { type JsonKind, type JsonSchema, kindOf } from '../json-schema.ts'
import { commentOf } from '../proto-comments.ts'
import type { Route } from '../route-table.ts'
import { resourceOf, updateMaskOf } from '../update-mask.ts'
import { isOutputOnly } from '../validation/field-behavior.ts'
import type { OperationPlace, PathParameter } from './paths.ts'
import { isRequired, type OpenApiSchemas, RAW_CONTENT, visibleFields } from './schemas.ts'

/** A parameter object of the document. */
export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly description?: unknown
  readonly schema: JsonSchema
  readonly example?: unknown
}

export function parametersOf({ route, parameters }: OperationPlace, schemas: OpenApiSchemas): Parameter[] {
  return [
    ...parameters.map(parameter => pathParameter(parameter, route, schemas)),
    ...queryParameters(route, schemas),
    ...headerParameters(route),
  ]
}

/**
 * Returns the `requestBody` member of an operation; an empty object if the route has no body. A missing body is an
 * empty message, so the body is required only if one of its fields is.
 */
export function requestBodyOf(route: Route, schemas: OpenApiSchemas): object {
  const { descriptor, template, body } = route
  if (body.kind === 'none') return {}
  if (takesRawBody(route)) {
    const field = body.kind === 'field' ? body.field : undefined
    const description = (field && commentOf(field)) ?? RAW_BODY
    return { requestBody: { description, required: field !== undefined && isRequired(field), content: RAW_CONTENT } }
  }
  const bound = template.variables.map(({ fieldPath }) => fieldPath)
  if (body.kind === 'message') {
    const schema = schemas.ofBody(descriptor.input, bound)
    const example = schemas.examples.ofMessage(descriptor.input, 'body', bound)
    return requestBody(schema, schema['required'] !== undefined, example)
  }
  const { field } = body
  const inField = bound.filter(([name]) => name === field.name).map(([, ...rest]) => rest)
  const isUpdate = updateMaskOf(descriptor.input) !== undefined && resourceOf(route) === field
  const inside = isUpdate ? 'update' : 'body'
  const { description, ...schema } =
    inField.length > 0
      ? schemas.ofBody(field.message as DescMessage, inField, inside)
      : schemas.ofField(field, 'body', inside)
  const example =
    inField.length > 0
      ? schemas.examples.ofMessage(field.message as DescMessage, inside, inField)
      : schemas.examples.ofField(field, inside)
  // With a variable in the field, the message is present, and its own fields may be required.
  const isNeeded = isRequired(field) || (inField.length > 0 && schema['required'] !== undefined)
  return requestBody(schema, isNeeded, example, description)
}

const RAW_BODY = 'Any content. Content-Type is its media type.'

function requestBody(schema: object, required: boolean, example: unknown, description?: unknown): object {
  return {
    requestBody: {
      ...(description !== undefined && { description }),
      required,
      content: { 'application/json': { schema, ...(example !== undefined && { example }) } },
    },
  }
}

function pathParameter(parameter: PathParameter, route: Route, schemas: OpenApiSchemas): Parameter {
  const { name, variable, isWhole, isRest } = parameter
  const span = isRest ? 'Zero or more segments of the path.' : 'One segment of the path.'
  const segment = { name, in: 'path' as const, required: true, example: segmentExample(parameter, route) }
  if (variable === undefined) return { ...segment, description: span, schema: TEXT }
  const { segments } = route.template
  const field = fieldAt(route.descriptor.input, variable.fieldPath)
  const { description, ...schema } = schemas.ofField(field, 'parameter')
  const pattern = patternOf(segments.slice(variable.start, variable.end))
  const text =
    isWhole && !isRest
      ? description
      : [description, `${span} The field has the form \`${pattern}\`.`].filter(part => part).join(' ')
  const example = isWhole && !isRest ? schemas.examples.ofField(field, 'parameter') : undefined
  return {
    ...segment,
    ...(example !== undefined && { example }),
    // The rules of a field apply to its whole value.
    schema: isWhole ? notEmpty(schema) : TEXT,
    ...(text ? { description: text } : {}),
  }
}

/** Returns a value for a wildcard: `topic-1` after the literal `topics`, otherwise a name made of the parameter. */
function segmentExample({ name, segment }: PathParameter, { template }: Route): string {
  const before = template.segments[segment - 1]
  const words = before?.kind === 'literal' ? before.text.replace(/(?<=[^s])s$/, '') : name.replace(/_\d+$/, '')
  return `${words.replace(/[^A-Za-z0-9]+/g, '-')}-1`
}

const TEXT = { type: 'string', minLength: 1 }

/** A segment of a path cannot be empty. */
function notEmpty(schema: JsonSchema): JsonSchema {
  const isText = schema['type'] === 'string' && schema['enum'] === undefined && schema['format'] === undefined
  return isText && schema['minLength'] === undefined ? { ...schema, minLength: 1 } : schema
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

/** Maximum number of names in a query parameter such as `filter.owner.id`; large messages have many paths. */
const MAX_QUERY_DEPTH = 3

/** Omits fields of nested messages below `MAX_QUERY_DEPTH` and of recursive ones. Clients may set them as well. */
function queryParameters({ descriptor, template, body }: Route, schemas: OpenApiSchemas): Parameter[] {
  if (body.kind === 'message') return []
  const bound = new Set(template.variables.map(({ fieldPath }) => fieldPath.join('.')))
  if (body.kind === 'field') bound.add(body.field.name)
  return [...parametersIn(descriptor.input, [], true)]

  function* parametersIn(message: DescMessage, parents: readonly DescField[], isPresent: boolean): Iterable<Parameter> {
    for (const field of visibleFields(message)) {
      const path = [...parents, field]
      if (isOutputOnly(field)) continue
      if (field.fieldKind === 'map' || bound.has(path.map(({ name }) => name).join('.'))) continue
      const isNeeded = isPresent && isRequired(field)
      const kind = kindOf(field)
      if (kind === 'message') {
        const isRecursive = [descriptor.input, ...parents.map(({ message }) => message)].includes(field.message)
        if (field.fieldKind === 'message' && !isRecursive && path.length < MAX_QUERY_DEPTH)
          yield* parametersIn(field.message, path, isNeeded)
        continue
      }
      if (NOT_TEXT.has(kind)) continue
      const { description, ...schema } = schemas.ofField(field, 'parameter')
      const name = path.map(({ jsonName }) => jsonName).join('.')
      const example = schemas.examples.ofField(field, 'parameter')
      yield {
        name,
        in: 'query' as const,
        ...(isNeeded && { required: true }),
        ...(description ? { description } : {}),
        schema,
        ...(example !== undefined && { example }),
      }
    }
  }
}

/** Kinds of values that are no single value in JSON. */
const NOT_TEXT: ReadonlySet<JsonKind> = new Set(['struct', 'list-value', 'value', 'any'])

function headerParameters({ descriptor, httpMethod }: Route): Parameter[] {
  const hasIfMatch = descriptor.input.fields.some(isIfMatch)
  const hasIfNoneMatch = httpMethod === 'GET' && descriptor.output.fields.some(isEtag)
  return [
    ...(hasIfMatch
      ? [{ name: 'If-Match', in: 'header' as const, schema: TAG_LIST, description: IF_MATCH, example: '*' }]
      : []),
    ...(hasIfNoneMatch
      ? [
          {
            name: 'If-None-Match',
            in: 'header' as const,
            schema: { type: 'string' },
            description: IF_NONE_MATCH,
            example: '"6b1c0f2a"',
          },
        ]
      : []),
  ]
}

const TAG = '(?:W/)?"[!#-~]*"'
const TAG_LIST = { type: 'string', pattern: `^(?:\\*|${TAG}(?:, *${TAG})*)$` }
const IF_MATCH = 'Entity tags in quotes. The request succeeds only if the resource has one of them; `*` matches any.'
const IF_NONE_MATCH = 'Entity tags in quotes. If the resource has one of them, the response is 304 without a body.'
