/** Generates the OpenAPI 3.1 document from the route table, so that it always matches what the gateway serves. */
import type { DescMethod, DescService } from '@bufbuild/protobuf'
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import { cookieFields } from '../edge-fields.ts'
import { wordsOf } from '../examples/field-words.ts'
import { commentOf } from '../proto-comments.ts'
import type { Route } from '../route-table.ts'
import { createUniqueNames } from '../unique-names.ts'
import { parametersOf, requestBodyOf } from './parameters.ts'
import { type OperationPlace, placeOperations } from './paths.ts'
import {
  createProblemResponses,
  HEADERS,
  type PossibleProblem,
  PROBLEM_SCHEMA,
  type ProblemResponses,
} from './problems.ts'
import { successResponsesOf } from './responses.ts'
import { createOpenApiSchemas, type OpenApiSchemas, visibleFields } from './schemas.ts'

/** The parts of the document that do not follow from the contract. */
export interface ApiInfo {
  title: string
  version: string
  /** The URL at which clients reach the gateway. */
  publicUrl: string
  /** The introduction, in Markdown. Default: none. */
  description?: string
  /** Returns the errors that a method can answer with. Default: none, so that `default` alone describes errors. */
  problemsOf?: (route: Route) => readonly PossibleProblem[]
  /** Returns the rate limit of a method as a sentence; undefined if it has none. Default: none. */
  limitOf?: (route: Route) => string | undefined
  /** Called for each example in the contract that is not valid. @param name of the field or the message. */
  onInvalidExample?: (name: string, reason: string) => void
}

/** The methods of a path item in OpenAPI 3.1. Others stand under `x-additionalOperations`, by their name. */
const STANDARD_METHODS = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'])

/** Returns the document, ready for JSON.stringify. */
export function buildOpenApi(routes: readonly Route[], info: ApiInfo): object {
  const { title, version, publicUrl, description } = info
  const schemas = createOpenApiSchemas(
    routes.map(({ descriptor }) => descriptor.output),
    info.onInvalidExample,
  )
  const problems = createProblemResponses()
  const places = placeOperations(routes)
  const labels = serviceLabels(routes)
  const ids = operationIds(places, labels)
  const paths: Record<string, Record<string, object>> = {}
  for (const place of places) {
    const item = paths[place.path] ?? {}
    paths[place.path] = item
    const { httpMethod } = place.route
    const content = operation(
      place,
      { operationId: ids.get(place), tags: [labels.get(place.route.descriptor.parent)] },
      { info, schemas, problems },
    )
    if (STANDARD_METHODS.has(httpMethod)) item[httpMethod.toLowerCase()] = content
    else item['x-additionalOperations'] = { ...item['x-additionalOperations'], [httpMethod]: content }
  }
  return {
    openapi: '3.1.0',
    info: { title, version, ...(description && { description }) },
    servers: [{ url: publicUrl }],
    tags: [...labels].map(([service, name]) => ({
      name,
      'x-displayName': readableName(service),
      description: commentOf(service) ?? service.typeName,
    })),
    paths,
    components: {
      schemas: { ...schemas.components, Problem: PROBLEM_SCHEMA },
      responses: problems.responses,
      headers: usedHeaders(paths, problems.responses),
      examples: { ...schemas.exampleComponents, ...problems.examples },
      securitySchemes: {
        ...(routes.some(takesToken) && { bearer: BEARER }),
        ...cookieSchemes(routes),
      },
    },
  }
}

const BEARER = {
  type: 'http',
  scheme: 'bearer',
  bearerFormat: 'JWT',
  description: 'An access token, in the header `Authorization: Bearer`. The introduction says how to get one.',
}

/** Returns the shared headers that responses refer to. */
function usedHeaders(paths: object, responses: object): object {
  const text = JSON.stringify([paths, responses])
  return Object.fromEntries(Object.entries(HEADERS).filter(([name]) => text.includes(`"#/components/headers/${name}"`)))
}

/** What operations share. */
interface Surroundings {
  readonly info: ApiInfo
  readonly schemas: OpenApiSchemas
  readonly problems: ProblemResponses
}

function operation(place: OperationPlace, names: object, { info, schemas, problems }: Surroundings): object {
  const { route } = place
  const { descriptor, policy } = route
  const comment = commentOf(descriptor) ?? descriptor.name
  const limit = info.limitOf?.(route)
  const parameters = parametersOf(place, schemas)
  const request = { path: examplePath(place.path, parameters), field: visibleFields(descriptor.input)[0]?.jsonName }
  return {
    ...names,
    summary: summaryOf(comment),
    description: [withoutSummary(comment), accessText(policy), limit].filter(part => part).join('\n\n'),
    ...(policy.roles.length > 0 && { 'x-roles': policy.roles }),
    parameters,
    ...requestBodyOf(route, schemas),
    responses: {
      ...successResponsesOf(route, schemas, limit !== undefined),
      ...problems.of(info.problemsOf?.(route) ?? [], limit !== undefined, request),
    },
    security: security(route),
  }
}

/** Replaces the parameters of a path by their examples. */
function examplePath(path: string, parameters: readonly { name: string; example?: unknown }[]): string {
  return path.replace(/\{([^}]*)\}/g, (_, name: string) =>
    encodeURIComponent(String(parameters.find(parameter => parameter.name === name)?.example ?? name)),
  )
}

/** Describes the access level of a method. */
function accessText({ access, roles, tolerateInvalidToken }: Policy): string {
  switch (access) {
    case AccessLevel.USER:
      return 'Requires an access token.'
    case AccessLevel.ROLES: {
      const names = roles.map(role => `\`${role}\``)
      const oneOf = names.length === 1 ? `the role ${names[0]}` : `one of the roles ${names.join(', ')}`
      return `Requires an access token of a user with ${oneOf}.`
    }
    case AccessLevel.OPTIONAL:
      return tolerateInvalidToken
        ? 'An access token is optional; an invalid one counts as none.'
        : 'An access token is optional.'
    default:
      return 'Needs no access token.'
  }
}

/** Longer comments are sentences, not names. */
const MAX_NAME_LENGTH = 50

/** Returns the name of a service for people: the first sentence of its comment if it is short, or the words of its name. */
function readableName(service: DescService): string {
  const summary = summaryOf(commentOf(service) ?? '')
  if (summary !== '' && summary.length <= MAX_NAME_LENGTH) return summary
  const words = wordsOf(service.name).replace(/ (?:service|api)$/, '')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

/** Returns the name of each service: without its package, unless another service has the same name. */
function serviceLabels(routes: readonly Route[]): Map<DescService, string> {
  const services = [...new Set(routes.map(({ descriptor }) => descriptor.parent))]
  return new Map(
    services.map(service => {
      const isUnique = services.every(other => other === service || other.name !== service.name)
      return [service, isUnique ? service.name : service.typeName]
    }),
  )
}

/**
 * Returns the ID of each operation: `Service_Method`, or `package.Service_Method` if two services have the same name.
 * Further operations of a method are numbered from 2, without the numbers that would repeat another ID.
 */
function operationIds(
  places: readonly OperationPlace[],
  labels: ReadonlyMap<DescService, string>,
): Map<OperationPlace, string> {
  const names = createUniqueNames()
  const seen = new Set<DescMethod>()
  const isFurther = new Map(
    places.map(place => {
      const { descriptor } = place.route
      const further = seen.has(descriptor)
      seen.add(descriptor)
      return [place, further]
    }),
  )
  // The first operation of each method gets its ID before further ones, whose numbers would take the ID of a `Get2`.
  const ordered = [...places].sort((a, b) => Number(isFurther.get(a)) - Number(isFurther.get(b)))
  return new Map(
    ordered.map(place => {
      const { descriptor } = place.route
      return [place, names.take(`${labels.get(descriptor.parent)}_${descriptor.name}`)]
    }),
  )
}

/** Returns the comment up to its first full stop, semicolon or colon. */
function summaryOf(comment: string): string {
  const [first = ''] = comment.replaceAll('\n', ' ').split(/(?<=[.;:])\s/, 1)
  return first.replace(/[.;:]$/, '')
}

/** Returns a comment without its first paragraph if that is the summary only. */
function withoutSummary(comment: string): string {
  const [first = '', ...rest] = comment.split('\n\n')
  return first.replaceAll('\n', ' ').replace(/[.;:]$/, '') === summaryOf(comment) ? rest.join('\n\n') : comment
}

/** Whether a request may have an access token. */
function takesToken({ policy }: Route): boolean {
  return policy.access !== AccessLevel.PUBLIC
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
