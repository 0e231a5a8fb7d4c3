/** Checks the examples of an OpenAPI document against its schemas and against the codec of the gateway. */
import { type FileRegistry, fromJson, type JsonValue } from '@bufbuild/protobuf'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { inlineOneof } from '../../gateway/contract/edge-fields.ts'
import { type OperationPlace, placeOperations } from '../../gateway/contract/openapi/paths.ts'
import type { Route } from '../../gateway/contract/route-table.ts'
import { createReferenceCodec } from '../../gateway/transcoding/reference/reference-codec.ts'

interface Content {
  readonly schema: object
  readonly example?: JsonValue
  readonly examples?: Record<string, { $ref?: string; value?: JsonValue }>
}
interface Parameter {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: object
  readonly example?: JsonValue
}
interface Response {
  readonly $ref?: string
  readonly content?: Record<string, Content>
}
interface Operation {
  readonly operationId: string
  readonly parameters: Parameter[]
  readonly requestBody?: { content: Record<string, Content> }
  readonly responses: Record<string, Response>
}
export interface Document {
  readonly info: { title: string; version: string; description?: string }
  readonly tags: { name: string; 'x-displayName': string }[]
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: {
    schemas: Record<string, { examples?: JsonValue[] }>
    responses: Record<string, { description: string; content: Record<string, Content>; headers?: object }>
    examples: Record<string, { summary?: string; value: JsonValue }>
    headers: Record<string, object>
  }
}

/** What was checked, and one line for each example that is missing or not valid. */
export interface ExampleReport {
  readonly checked: number
  readonly problems: string[]
}

/** Maximum number of routes whose examples are sent through the codec: google.cloud.compute.v1 has 900. */
const MAX_SENT = 60

/** @param registryOf the types of the upstream of a route. */
export function checkExamples(
  document: Document,
  routes: readonly Route[],
  registryOf: (route: Route) => FileRegistry,
): ExampleReport {
  const { components } = document
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  ajv.addSchema({ $id: 'doc', components })
  const problems: string[] = []
  const compiled = new Map<string, ValidateFunction>()
  const seen = new Set<string>()
  let checked = 0

  function validatorOf(schema: object): ValidateFunction {
    const text = JSON.stringify(schema).replaceAll('"#/', '"doc#/')
    const validator = compiled.get(text) ?? ajv.compile(JSON.parse(text))
    compiled.set(text, validator)
    return validator
  }

  function validate(name: string, schema: object, value: JsonValue | undefined): void {
    if (value === undefined) {
      problems.push(`${name}: has no example`)
      return
    }
    checked++
    const isValid = validatorOf(schema)
    if (!isValid(value)) problems.push(`${name}: ${JSON.stringify(value)} ${ajv.errorsText(isValid.errors)}`)
    if (/"-?2147483648"|:-?2147483648\b|:""/.test(JSON.stringify({ value }))) {
      problems.push(`${name}: ${JSON.stringify(value)} is not plausible`)
    }
  }

  function valuesOf({ example, examples }: Content): (JsonValue | undefined)[] {
    if (examples === undefined) return [example]
    return Object.values(examples).map(({ $ref, value }) =>
      $ref === undefined ? value : components.examples[$ref.replace('#/components/examples/', '')]?.value,
    )
  }

  for (const [name, schema] of Object.entries(components.schemas)) {
    if (name !== 'Problem') for (const value of schema.examples ?? [undefined]) validate(name, schema, value)
  }
  const step = Math.ceil(routes.length / MAX_SENT)
  for (const [at, place] of placeOperations(routes).entries()) {
    const operation = operationAt(document, place)
    const { operationId, parameters, requestBody, responses } = operation
    for (const { name, schema, example } of parameters) validate(`${operationId} ${name}`, schema, example)
    for (const content of Object.values(requestBody?.content ?? {})) {
      for (const value of valuesOf(content)) validate(`${operationId} body`, content.schema, value)
    }
    for (const [status, response] of Object.entries(responses)) {
      if (response.$ref !== undefined && seen.has(response.$ref)) continue
      if (response.$ref !== undefined) seen.add(response.$ref)
      const { content = {} } = response.$ref === undefined ? response : refAt(components.responses, response.$ref)
      for (const part of Object.values(content)) {
        for (const value of valuesOf(part)) {
          validate(`${operationId} ${status}`, part.schema, value)
          if (status.startsWith('2')) problems.push(...parse(place.route, value, registryOf(place.route)))
        }
      }
    }
    if (at % step === 0) problems.push(...sendExamples(place, operation, registryOf(place.route)))
  }
  return { checked, problems }
}

function refAt<Value>(values: Record<string, Value>, ref: string): Value {
  return values[ref.slice(ref.lastIndexOf('/') + 1)] as Value
}

function operationAt({ paths }: Document, { path, route: { httpMethod } }: OperationPlace): Operation {
  const item = paths[path] as Record<string, Operation>
  const further = item['x-additionalOperations'] as unknown as Record<string, Operation> | undefined
  return (item[httpMethod.toLowerCase()] ?? further?.[httpMethod]) as Operation
}

/** Parses a response as ProtoJSON. */
function parse(
  { name, descriptor, responseField }: Route,
  value: JsonValue | undefined,
  registry: FileRegistry,
): string[] {
  if (value === undefined || inlineOneof(descriptor.output) !== undefined) return []
  try {
    fromJson(descriptor.output, responseField === undefined ? value : { [responseField.jsonName]: value }, { registry })
    return []
  } catch (error) {
    // The type of an Any need not be part of the contract.
    return /Any|type URL/.test((error as Error).message) ? [] : [`${name} response: ${(error as Error).message}`]
  }
}

/** Encodes the examples of a request: the required ones alone, then with each optional parameter. */
function sendExamples(place: OperationPlace, { parameters, requestBody }: Operation, registry: FileRegistry): string[] {
  const { route } = place
  const codec = createReferenceCodec(route, registry)
  const body = Object.values(requestBody?.content ?? {})[0]?.example
  const query = parameters.filter(parameter => parameter.in === 'query')
  const optional = [undefined, ...query.filter(({ required }) => !required)]
  return optional.flatMap(extra => {
    const sent = query.filter(parameter => parameter.required || parameter === extra)
    try {
      codec.encode({
        pathValues: route.template.variables.map(variable => variableOf(place, variable, parameters)),
        query: sent.map(queryText).join('&'),
        body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
        cookies: {},
        ifMatch: undefined,
      })
      return []
    } catch (error) {
      const { message, violations } = error as { message: string; violations?: unknown }
      return [`${route.name} ${extra?.name ?? ''}: ${message} ${JSON.stringify(violations)}`]
    }
  })
}

function variableOf(
  { route, parameters: places }: OperationPlace,
  { start, end }: Route['template']['variables'][number],
  parameters: readonly Parameter[],
): string {
  const parts = route.template.segments.slice(start, end).flatMap((segment, at) => {
    if (segment.kind === 'literal') return [segment.text]
    const names = places.filter(({ segment: index }) => index === start + at).map(({ name }) => name)
    return names.map(name => String(parameters.find(parameter => parameter.name === name)?.example))
  })
  return parts.join('/')
}

function queryText({ name, example }: Parameter): string {
  const values = Array.isArray(example) ? example : [example]
  return values.map(value => `${name}=${encodeURIComponent(String(value))}`).join('&')
}
