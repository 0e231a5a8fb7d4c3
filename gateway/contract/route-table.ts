/**
 * The routes of a contract: one for each HTTP binding of each method that the gateway exposes. Everything that can be
 * wrong with a contract is found here, at boot, and said with the method's name.
 */
import type { DescField, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf'
import {
  AccessLevel,
  ContractError,
  cookieOf,
  type HttpRule,
  httpRuleOf,
  isIfMatch,
  methodName,
  type Policy,
  requirePolicy,
} from '#runtime/grpc/contract.ts'
import { answerFields, assertEdgeFields, isRevocation } from './edge-fields.ts'
import { type PathTemplate, parsePathTemplate } from './path-template.ts'

/** Where the HTTP body goes: nowhere, into the whole message, or into one of its fields. */
export type BodyBinding = { kind: 'none' } | { kind: 'message' } | { kind: 'field'; field: DescField }

export interface Route {
  /** `user.v1.UserService/GetUser` */
  readonly name: string
  /** The method's path on the wire. */
  readonly rpcPath: string
  readonly descriptor: DescMethod
  readonly httpMethod: string
  readonly template: PathTemplate
  readonly policy: Policy
  readonly body: BodyBinding
  /** The field whose JSON is the response's body; the whole message when undefined. */
  readonly responseField: DescField | undefined
  /** The name of the upstream that serves it. */
  readonly upstream: string
}

export interface ExposedService {
  readonly service: DescService
  readonly upstream: string
}

const METHOD_TOKEN = /^[A-Z]+$/

/** @throws ContractError with every fault of the contract, one a line. */
export function buildRouteTable(services: readonly ExposedService[]): Route[] {
  const faults: string[] = []
  const routes: Route[] = []
  const taken = new Map<string, Route>()
  for (const { service, upstream } of services) {
    for (const descriptor of service.methods) {
      try {
        for (const route of routesOf(descriptor, upstream)) {
          const key = `${route.httpMethod} ${route.template.shape}`
          const other = taken.get(key)
          if (other !== undefined) {
            throw new ContractError(`${route.httpMethod} ${route.template.source} is taken by ${other.name}`)
          }
          taken.set(key, route)
          routes.push(route)
        }
      } catch (error) {
        if (!(error instanceof ContractError)) throw error
        faults.push(`${methodName(descriptor)}: ${error.message}`)
      }
    }
  }
  if (faults.length > 0) throw new ContractError(`The contract cannot be served:\n  ${faults.join('\n  ')}`)
  return routes
}

function routesOf(descriptor: DescMethod, upstream: string): Route[] {
  const policy = checkedPolicy(descriptor)
  const rule = httpRuleOf(descriptor)
  if (rule === undefined) return []
  if (policy.access === AccessLevel.INTERNAL || policy.access === AccessLevel.SERVICE) {
    throw new ContractError('a method for services has no HTTP rule')
  }
  if (descriptor.methodKind !== 'unary' && descriptor.methodKind !== 'server_streaming')
    throw new ContractError('a method that takes a stream has no HTTP rule')
  assertEdgeFields(descriptor)
  if (isStream({ descriptor })) assertStreamed(descriptor, policy)
  return [rule, ...rule.additionalBindings].map(binding => {
    const { httpMethod, path } = patternOf(binding)
    const template = parsePathTemplate(path)
    for (const variable of template.variables) assertBindable(descriptor.input, variable.fieldPath)
    const body = bodyOf(binding, httpMethod, descriptor.input)
    if (body.kind === 'field' && template.variables.some(({ fieldPath }) => fieldPath.join('.') === body.field.name)) {
      throw new ContractError(`${body.field.name} is given by the path and by the body`)
    }
    return {
      name: methodName(descriptor),
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

/** Whether the answer is a stream of messages. */
export function isStream({ descriptor }: Pick<Route, 'descriptor'>): boolean {
  return descriptor.methodKind === 'server_streaming'
}

/** What the edge takes out of an answer it cannot take out of a body that has begun; `error` is what ends one. */
function assertStreamed({ output }: DescMethod, { successStatus }: Policy): void {
  if (successStatus === 204) throw new ContractError('success_status 204 leaves no room for a stream')
  for (const field of answerFields(output)) {
    if (cookieOf(field) !== undefined || isRevocation(field))
      throw new ContractError(`${output.typeName}.${field.name}: a stream sets no cookie and revokes nothing`)
    if (field.jsonName === 'error')
      throw new ContractError(`${output.typeName}.${field.name}: in a stream, "error" is how it ends`)
  }
}

function checkedPolicy(descriptor: DescMethod): Policy {
  const policy = requirePolicy(descriptor)
  const status = policy.successStatus
  if (status !== 0 && (status < 200 || status > 299))
    throw new ContractError(`success_status ${status} is not a success`)
  return policy
}

function patternOf({ pattern, additionalBindings }: HttpRule): { httpMethod: string; path: string } {
  if (additionalBindings.some(binding => binding.additionalBindings.length > 0)) {
    throw new ContractError('additional_bindings cannot be nested')
  }
  if (pattern.case === undefined) throw new ContractError('the HTTP rule has no pattern')
  if (pattern.case !== 'custom') return { httpMethod: pattern.case.toUpperCase(), path: pattern.value }
  if (!METHOD_TOKEN.test(pattern.value.kind)) {
    throw new ContractError(`the custom pattern's kind "${pattern.value.kind}" is not an HTTP method in capitals`)
  }
  return { httpMethod: pattern.value.kind, path: pattern.value.path }
}

function bodyOf(rule: HttpRule, httpMethod: string, input: DescMessage): BodyBinding {
  if (rule.body === '') return { kind: 'none' }
  if (httpMethod === 'GET' || httpMethod === 'HEAD' || httpMethod === 'DELETE') {
    throw new ContractError(`a body has no meaning in ${httpMethod} (RFC 9110 section 9.3)`)
  }
  return rule.body === '*' ? { kind: 'message' } : { kind: 'field', field: fieldOf(input, rule.body) }
}

function fieldOf(message: DescMessage, name: string): DescField {
  const field = message.fields.find(candidate => candidate.name === name)
  if (field === undefined) throw new ContractError(`${message.typeName} has no field ${name}`)
  if (cookieOf(field) !== undefined) throw new ContractError(`${message.typeName}.${name} goes by cookie`)
  if (isIfMatch(field)) throw new ContractError(`${message.typeName}.${name} goes by If-Match`)
  return field
}

/** A path variable ends in a single scalar or enum; what comes before are messages. */
function assertBindable(message: DescMessage, fieldPath: readonly string[]): void {
  let current: DescMessage = message
  for (const [index, name] of fieldPath.entries()) {
    const field = fieldOf(current, name)
    const isLast = index === fieldPath.length - 1
    if (isLast) {
      if (field.fieldKind !== 'scalar' && field.fieldKind !== 'enum') {
        throw new ContractError(`the path variable ${fieldPath.join('.')} is not a single scalar`)
      }
    } else {
      if (field.fieldKind !== 'message') throw new ContractError(`${fieldPath.join('.')}: ${name} is not a message`)
      current = field.message
    }
  }
}
