/** Generates the OpenAPI 3.1 document from the route table, so that it always matches what the gateway serves. */
import { AccessLevel } from '#runtime/grpc/contract.ts'
import { cookieFields } from './edge-fields.ts'
import { parametersOf, pathOf, requestBodyOf } from './openapi-parameters.ts'
import { PROBLEM_SCHEMA, responsesOf } from './openapi-responses.ts'
import { createOpenApiSchemas, type OpenApiSchemas } from './openapi-schemas.ts'
import { commentOf } from './proto-comments.ts'
import type { Route } from './route-table.ts'

/** The parts of the document that do not follow from the contract. */
export interface ApiInfo {
  title: string
  version: string
  /** The URL at which clients reach the gateway. */
  publicUrl: string
}

/** Returns the document, ready for JSON.stringify. */
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
      schemas: { ...schemas.components, Problem: PROBLEM_SCHEMA },
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
  const roles = policy.roles.length > 0 ? `\n\nRequires one of the roles ${policy.roles.join(', ')}.` : ''
  return {
    operationId: operationId(route, routes),
    tags: [descriptor.parent.name],
    summary: summaryOf(comment),
    description: comment + roles,
    ...(policy.roles.length > 0 && { 'x-roles': policy.roles }),
    parameters: parametersOf(route, schemas),
    ...requestBodyOf(route, schemas),
    responses: responsesOf(route, schemas),
    security: security(route),
  }
}

/** Returns `Service_Method`. Further bindings of the method are numbered from 2. */
function operationId(route: Route, routes: readonly Route[]): string {
  const bindings = routes.filter(other => other.descriptor === route.descriptor)
  const index = bindings.indexOf(route)
  return `${route.descriptor.parent.name}_${route.descriptor.name}${index === 0 ? '' : index + 1}`
}

/** Returns the comment up to its first full stop, semicolon or colon. */
function summaryOf(comment: string): string {
  const [first = ''] = comment.replaceAll('\n', ' ').split(/(?<=[.;:])\s/, 1)
  return first.replace(/[.;:]$/, '')
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
