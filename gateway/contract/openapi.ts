/** Generates the OpenAPI 3.1 document from the route table, so that it always matches what the gateway serves. */
import type { DescMethod, DescService } from '@bufbuild/protobuf'
import { AccessLevel } from '#runtime/grpc/contract.ts'
import { cookieFields } from './edge-fields.ts'
import { parametersOf, requestBodyOf } from './openapi-parameters.ts'
import { type OperationPlace, placeOperations } from './openapi-paths.ts'
import { PROBLEM_SCHEMA, responsesOf } from './openapi-responses.ts'
import { createOpenApiSchemas, type OpenApiSchemas } from './openapi-schemas.ts'
import { commentOf } from './proto-comments.ts'
import type { Route } from './route-table.ts'
import { createUniqueNames } from './unique-names.ts'

/** The parts of the document that do not follow from the contract. */
export interface ApiInfo {
  title: string
  version: string
  /** The URL at which clients reach the gateway. */
  publicUrl: string
}

/** The methods of a path item in OpenAPI 3.1. Others stand under `x-additionalOperations`, by their name. */
const STANDARD_METHODS = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'])

/** Returns the document, ready for JSON.stringify. */
export function buildOpenApi(routes: readonly Route[], { title, version, publicUrl }: ApiInfo): object {
  const schemas = createOpenApiSchemas(routes.map(({ descriptor }) => descriptor.output))
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
      schemas,
    )
    if (STANDARD_METHODS.has(httpMethod)) item[httpMethod.toLowerCase()] = content
    else item['x-additionalOperations'] = { ...item['x-additionalOperations'], [httpMethod]: content }
  }
  return {
    openapi: '3.1.0',
    info: { title, version },
    servers: [{ url: publicUrl }],
    tags: [...labels].map(([service, name]) => ({ name, description: commentOf(service) ?? service.typeName })),
    paths,
    components: {
      schemas: { ...schemas.components, Problem: PROBLEM_SCHEMA },
      securitySchemes: {
        ...(routes.some(takesToken) && { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } }),
        ...cookieSchemes(routes),
      },
    },
  }
}

function operation(place: OperationPlace, names: object, schemas: OpenApiSchemas): object {
  const { route } = place
  const { descriptor, policy } = route
  const comment = commentOf(descriptor) ?? descriptor.name
  const roles = policy.roles.length > 0 ? `\n\nRequires one of the roles ${policy.roles.join(', ')}.` : ''
  return {
    ...names,
    summary: summaryOf(comment),
    description: comment + roles,
    ...(policy.roles.length > 0 && { 'x-roles': policy.roles }),
    parameters: parametersOf(place, schemas),
    ...requestBodyOf(route, schemas),
    responses: responsesOf(route, schemas),
    security: security(route),
  }
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
