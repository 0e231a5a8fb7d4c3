/**
 * Builds the route table of a contract: one route per HTTP binding of each exposed method. All errors of a contract are
 * found here, at boot, and reported with the name of the method.
 */
import { METHODS } from 'node:http'
import type { DescField, DescMessage, DescMethod, DescService, FileRegistry } from '@bufbuild/protobuf'
import {
  assertPolicy,
  ContractError,
  cookieOf,
  type HttpRule,
  isIfMatch,
  methodName,
  type Policy,
} from '#runtime/grpc/contract.ts'
import { assertEdgeFields, isRevocation, responseFields } from './edge-fields.ts'
import { CONTRACT_ONLY, type Exposure, isExposed } from './exposure.ts'
import { takesRawBody } from './http-body.ts'
import { kindOf } from './json-schema.ts'
import { type PathTemplate, parsePathTemplate } from './path-template.ts'
import { assertNotReserved } from './reserved-paths.ts'
import { createRulesCheck } from './validation/rules-check.ts'
import { typesOf } from './validation/validator.ts'

/** What the HTTP body is bound to: nothing, the whole request message, or one of its fields. */
export type BodyBinding = { kind: 'none' } | { kind: 'message' } | { kind: 'field'; field: DescField }

/** One HTTP method and path template, bound to an RPC. */
export interface Route {
  /** Full name of the RPC, such as `user.v1.UserService/GetUser`. */
  readonly name: string
  /** The `:path` of the gRPC call, such as `/user.v1.UserService/GetUser`. */
  readonly rpcPath: string
  readonly descriptor: DescMethod
  readonly httpMethod: string
  readonly template: PathTemplate
  readonly policy: Policy
  readonly body: BodyBinding
  /** The field that becomes the response body; undefined for the whole message. */
  readonly responseField: DescField | undefined
  /** The name of the upstream that implements the RPC. */
  readonly upstream: string
}

/** A service of the contract, and the upstream that implements it. */
export interface ExposedService {
  readonly service: DescService
  readonly upstream: string
  /** Default: the options of the contract. */
  readonly exposure?: Exposure
  /** All types of the contract. Default: those of the files that the file of the service imports. */
  readonly registry?: FileRegistry
}

/** A method or binding that has no route, although its policy and its HTTP rule are valid. */
export interface OmittedRoute {
  /** Full name of the RPC, such as `user.v1.UserService/GetUser`. */
  readonly name: string
  readonly reason: string
}

/** The parser of node:http accepts no other method. It handles CONNECT as a tunnel, not as a request. */
const SERVED_METHODS: ReadonlySet<string> = new Set(METHODS.filter(method => method !== 'CONNECT'))

/** The methods of `custom: {kind: "*"}`, unless another route has the path with that method. HEAD comes with GET. */
const ANY_METHOD = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']

/** RFC 9110 section 9.3: content of these requests has no defined meaning, or is not allowed. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD', 'TRACE'])

// RFC 9110 section 5.6.2.
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

/** An error in how a method is exposed. */
export interface MethodProblem {
  readonly upstream: string
  readonly method: DescMethod
  /** Starts with the name of the method. */
  readonly message: string
}

/** The route table of a contract, and what prevents further routes. */
export interface RouteTable {
  readonly routes: readonly Route[]
  readonly omitted: readonly OmittedRoute[]
  readonly problems: readonly MethodProblem[]
}

/**
 * Builds the route table of a contract. Methods without an HTTP rule have no routes.
 * @param onOmitted called for each method or binding that the gateway cannot serve.
 * @throws ContractError that lists the errors of all methods, one per line, each with the names of the upstream and the method.
 */
export function buildRouteTable(
  services: readonly ExposedService[],
  onOmitted: (omitted: OmittedRoute) => void = () => {},
): Route[] {
  const { routes, omitted, problems } = inspectRouteTable(services)
  if (problems.length > 0) {
    const lines = problems.map(({ upstream, message }) => `upstream ${upstream}: ${message}`)
    throw new ContractError(`The contract cannot be served:\n  ${lines.join('\n  ')}`)
  }
  omitted.forEach(onOmitted)
  return [...routes]
}

/** Builds the routes of all methods that are valid. */
export function inspectRouteTable(services: readonly ExposedService[]): RouteTable {
  const problems: MethodProblem[] = []
  const omitted: OmittedRoute[] = []
  const routes: Route[] = []
  const owners = new Map<string, Route>()
  const checkRules = createRulesCheck()
  const collectProblems = (upstream: string, method: DescMethod, run: () => void) => {
    try {
      run()
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      problems.push({ upstream, method, message: `${methodName(method)}: ${error.message}` })
    }
  }
  for (const { service, upstream, exposure = CONTRACT_ONLY, registry } of services) {
    for (const method of service.methods) {
      let isExposed = true
      collectProblems(upstream, method, () => {
        const found = routesOf(method, upstream, exposure, entry => void omitted.push(entry))
        isExposed = found.length > 0
        for (const route of found) {
          const key = `${route.httpMethod} ${route.template.shape}`
          const owner = owners.get(key)
          if (owner !== undefined) {
            throw new ContractError(`${route.httpMethod} ${route.template.source} is already bound to ${owner.name}`)
          }
          owners.set(key, route)
          routes.push(route)
        }
      })
      if (isExposed) {
        collectProblems(upstream, method, () => checkRules(method.input, registry ?? typesOf(service.file)))
      }
    }
  }
  return {
    routes: routes.flatMap(route => (route.httpMethod === '*' ? withEachMethod(route, owners) : route)),
    omitted,
    problems,
  }
}

function withEachMethod(route: Route, owners: ReadonlyMap<string, Route>): Route[] {
  const isFree = (httpMethod: string) => !owners.has(`${httpMethod} ${route.template.shape}`)
  return ANY_METHOD.filter(isFree).map(httpMethod => ({
    ...route,
    httpMethod,
    body: WITHOUT_BODY.has(httpMethod) ? { kind: 'none' } : route.body,
  }))
}

function routesOf(
  descriptor: DescMethod,
  upstream: string,
  exposure: Exposure,
  onOmitted: (omitted: OmittedRoute) => void,
): Route[] {
  const { policy, rule, omission } = exposure(descriptor)
  const name = methodName(descriptor)
  if (omission !== undefined) {
    onOmitted({ name, reason: omission })
    return []
  }
  if (policy !== undefined) assertFits(policy)
  const isOpen = policy === undefined || isExposed(policy)
  if (rule === undefined) {
    if (isOpen) onOmitted({ name, reason: NO_HTTP_RULE })
    return []
  }
  if (!isOpen) throw new ContractError('an internal or service method cannot have an HTTP rule')
  if (policy === undefined) throw new ContractError(NO_POLICY)
  if (descriptor.methodKind !== 'unary' && descriptor.methodKind !== 'server_streaming') {
    onOmitted({ name, reason: 'methods with a request stream are not supported' })
    return []
  }
  assertEdgeFields(descriptor)
  if (isStream({ descriptor })) assertStreamable(descriptor, policy)
  return [rule, ...rule.additionalBindings].flatMap(binding => {
    const { httpMethod, path } = patternOf(binding)
    const template = parsePathTemplate(path)
    assertNotReserved(httpMethod, template)
    for (const variable of template.variables) assertBindable(descriptor.input, variable.fieldPath)
    const body = bodyOf(binding, httpMethod, descriptor.input)
    if (body.kind === 'field' && template.variables.some(({ fieldPath }) => fieldPath.join('.') === body.field.name)) {
      throw new ContractError(`${body.field.name} is given by the path and by the body`)
    }
    if (takesRawBody({ body, descriptor })) assertNoneInBody(body, template)
    if (httpMethod !== '*' && !SERVED_METHODS.has(httpMethod)) {
      onOmitted({ name, reason: `the HTTP parser does not know the method ${httpMethod} of ${path}` })
      return []
    }
    return {
      name,
      rpcPath: `/${descriptor.parent.typeName}/${descriptor.name}`,
      descriptor,
      httpMethod,
      template,
      policy,
      body,
      responseField: binding.responseBody === '' ? undefined : fieldOf(descriptor.output, binding.responseBody),
      upstream,
    }
  })
}

/** Whether the response is a stream of messages. */
export function isStream({ descriptor }: Pick<Route, 'descriptor'>): boolean {
  return descriptor.methodKind === 'server_streaming'
}

/**
 * Checks the response of a stream. Cookies and revocations are impossible, because the response headers are sent before
 * the first message.
 */
function assertStreamable({ output }: DescMethod, { successStatus }: Policy): void {
  if (successStatus === 204) throw new ContractError('success_status 204 allows no body, so a stream cannot use it')
  for (const field of responseFields(output)) {
    if (cookieOf(field) !== undefined || isRevocation(field))
      throw new ContractError(`${output.typeName}.${field.name}: a stream cannot set cookies or revoke tokens`)
  }
}

function assertFits(policy: Policy): void {
  assertPolicy(policy)
  const status = policy.successStatus
  if (status !== 0 && (status < 200 || status > 299))
    throw new ContractError(`success_status ${status} is not a 2xx status`)
}

const NO_POLICY =
  'has no policy: add `option (edge.v1.policy)` to it, or an entry to `policies` of the upstream in gateway.yaml'
const NO_HTTP_RULE =
  'the method has no HTTP rule: add google.api.http, `httpRules` or `unannotated: post`, or make its access internal'

function patternOf({ pattern, additionalBindings }: HttpRule): { httpMethod: string; path: string } {
  if (additionalBindings.some(binding => binding.additionalBindings.length > 0)) {
    throw new ContractError('additional_bindings cannot be nested')
  }
  if (pattern.case === undefined) throw new ContractError('the HTTP rule has no pattern')
  if (pattern.case !== 'custom') return { httpMethod: pattern.case.toUpperCase(), path: pattern.value }
  if (!TOKEN.test(pattern.value.kind)) {
    throw new ContractError(`the custom pattern's kind "${pattern.value.kind}" is not a token`)
  }
  return { httpMethod: pattern.value.kind, path: pattern.value.path }
}

function bodyOf(rule: HttpRule, httpMethod: string, input: DescMessage): BodyBinding {
  if (rule.body === '') return { kind: 'none' }
  if (WITHOUT_BODY.has(httpMethod)) {
    throw new ContractError(`a body has no defined meaning in ${httpMethod} (RFC 9110 section 9.3)`)
  }
  return rule.body === '*' ? { kind: 'message' } : { kind: 'field', field: fieldOf(input, rule.body) }
}

function fieldOf(message: DescMessage, name: string): DescField {
  const field = message.fields.find(candidate => candidate.name === name)
  if (field === undefined) throw new ContractError(`${message.typeName} has no field ${name}`)
  if (cookieOf(field) !== undefined) throw new ContractError(`${message.typeName}.${name} is a cookie field`)
  if (isIfMatch(field)) throw new ContractError(`${message.typeName}.${name} is the If-Match field`)
  return field
}

/** Checks that no path variable is a field of a raw body, whose fields are the content and its Content-Type. */
function assertNoneInBody(body: BodyBinding, { variables }: PathTemplate): void {
  for (const { fieldPath } of variables) {
    if (body.kind === 'field' && fieldPath[0] !== body.field.name) continue
    throw new ContractError(`${fieldPath.join('.')} is given by the path and by the body, a google.api.HttpBody`)
  }
}

/** Checks the field path of a variable: singular messages, and at the end a singular scalar or enum. */
function assertBindable(message: DescMessage, fieldPath: readonly string[]): void {
  let current: DescMessage = message
  for (const [index, name] of fieldPath.entries()) {
    const field = fieldOf(current, name)
    const isLast = index === fieldPath.length - 1
    if (isLast) {
      if (field.fieldKind !== 'scalar' && field.fieldKind !== 'enum') {
        throw new ContractError(`the path variable ${fieldPath.join('.')} is not a singular scalar`)
      }
    } else {
      if (field.fieldKind !== 'message') throw new ContractError(`${fieldPath.join('.')}: ${name} is not a message`)
      if (kindOf(field) !== 'message')
        throw new ContractError(`${fieldPath.join('.')}: the JSON of ${field.message.typeName} has no fields`)
      current = field.message
    }
  }
}
