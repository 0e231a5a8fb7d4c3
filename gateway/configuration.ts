/** What the gateway serves: gateway.yaml, the contract of each upstream, and the routes that follow from them. */
import type { DescMethod, FileRegistry } from '@bufbuild/protobuf'
import { AccessLevel, methodName, type Policy, readContract } from '#runtime/grpc/contract.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { positionOf } from './contract/proto-position.ts'
import { type ExposedService, inspectRouteTable, type OmittedRoute, type Route } from './contract/route-table.ts'
import { createLimitOrder } from './edge/limits/limit-order.ts'
import { inspectMethodLimits, type MethodLimits } from './edge/limits/method-limits.ts'
import { type GatewayFile, type GatewayFileInspection, inspectGatewayFile } from './gateway-file.ts'
import { createProblems, throwProblems } from './problems.ts'
import { assertConnectable } from './upstream/connections.ts'
import { isReflected, type UpstreamConfig } from './upstream/upstream-config.ts'
import { exposeContract, methodsOf, type UpstreamContract } from './upstream/upstream-contract.ts'

export interface Configuration {
  /** Path of gateway.yaml, which errors name. */
  readonly path: string
  readonly file: GatewayFile
  /** By name of the upstream. An upstream without a contract has no routes. */
  readonly contracts: ReadonlyMap<string, FileRegistry>
  /**
   * For contracts read by reflection: the methods that the contract had when gateway.yaml was read. `default` of `policies`
   * applies to no other.
   */
  readonly knownMethods: ReadonlyMap<string, ReadonlySet<string>>
  /** Values of variables in gateway.yaml and in the files that it names. */
  readonly env: NodeJS.ProcessEnv
  /** What is valid of the file, and the lines of its entries. */
  readonly inspection: GatewayFileInspection
  /** What is wrong with the file and the contracts. `planRoutes` reports it with what it finds itself. */
  readonly problems: readonly string[]
}

/** The routes of a configuration. */
export interface RoutePlan {
  readonly routes: readonly Route[]
  /** The routes that verify tokens. */
  readonly verifying: readonly Route[]
  /** By name of the method. */
  readonly limits: ReadonlyMap<string, MethodLimits>
  /** Methods and bindings that are not served. */
  readonly omitted: readonly OmittedRoute[]
  /** By name of the upstream. */
  readonly contracts: ReadonlyMap<string, UpstreamContract>
}

/** A plan of what is valid, and all problems. */
export interface RouteInspection {
  readonly plan: RoutePlan
  readonly problems: readonly string[]
}

/**
 * Reads gateway.yaml and the contracts that it names.
 * @param reflected returns what is known of a contract that is read by reflection. Default: nothing.
 * @throws SettingsError if gateway.yaml cannot be read or is not YAML.
 */
export function readConfiguration(
  path: string,
  env: NodeJS.ProcessEnv,
  reflected: (config: UpstreamConfig) => FileRegistry | undefined = () => undefined,
): Configuration {
  const inspection = inspectGatewayFile(path, env)
  const { file, positionOf: position } = inspection
  const problems = createProblems(inspection.problems)
  const contracts = new Map<string, FileRegistry>()
  const knownMethods = new Map<string, ReadonlySet<string>>()
  for (const config of file.upstreams) {
    const { name, contract } = config
    const prefix = `${position(name, 'contract')}: upstream ${name}: `
    const registry = isReflected(config) ? reflected(config) : problems.attempt(() => readContract(contract), prefix)
    if (registry === undefined) continue
    contracts.set(name, registry)
    if (isReflected(config)) knownMethods.set(name, methodsOf(config, registry))
  }
  return { path, file, contracts, knownMethods, env, inspection, problems: problems.messages }
}

/** Names of the upstreams whose contract has not been read yet. */
export function missingContracts({ file, contracts }: Configuration): string[] {
  return file.upstreams.map(({ name }) => name).filter(name => !contracts.has(name))
}

/**
 * Builds the routes.
 * @throws SettingsError that lists all problems of the file, the contracts, the methods and the limits.
 */
export function planRoutes(configuration: Configuration): RoutePlan {
  const { plan, problems } = inspectRoutes(configuration)
  throwProblems(problems)
  return plan
}

/** Builds the routes of what is valid, and lists all problems: each that would stop the boot. */
export function inspectRoutes(configuration: Configuration): RouteInspection {
  const { file, contracts, knownMethods, env, inspection, problems: known } = configuration
  const { areLimitsValid, positionOf: position, positionOfLimit } = inspection
  const problems = createProblems(known)
  const limitOrder = createLimitOrder(file.limits)
  const hasClass = ({ rateLimit }: Policy) => !rateLimit?.class || Object.hasOwn(file.limits.classes, rateLimit.class)
  // Invalid limits and unknown classes have their own messages.
  const compareLimits = (from: Policy, to: Policy) =>
    areLimitsValid && hasClass(from) && hasClass(to) ? limitOrder(from, to) : 'same'
  const exposed = new Map<string, UpstreamContract>()
  for (const config of file.upstreams) {
    problems.attempt(() => assertConnectable(config, position(config.name, 'address')))
    const registry = contracts.get(config.name)
    if (registry === undefined) continue
    const settings = {
      compareLimits,
      env,
      knownMethods: knownMethods.get(config.name),
      position: (...entry: PropertyKey[]) => position(config.name, ...entry),
    }
    const contract = problems.attempt(() => exposeContract(config, registry, settings))
    if (contract !== undefined) exposed.set(config.name, contract)
  }
  const services = [...exposed.values()].flatMap(contract => contract.exposed)
  const { routes, omitted, problems: methodProblems } = inspectRouteTable(services)
  for (const { upstream, method, message } of methodProblems) {
    problems.add(`${entryPosition(upstream, method)}: upstream ${upstream}: ${message} (${positionOf(method)})`)
  }
  const { limits, problems: limitProblems } = inspectMethodLimits(routes, file.limits)
  for (const { method, message } of areLimitsValid ? limitProblems : []) {
    // A method of an upstream that is not valid is not known.
    const isUnknown = !routes.some(({ name }) => name === method)
    if (!isUnknown || problems.messages.length === 0)
      problems.add(`${limitPosition(method, services)}: ${method}: ${message}`)
  }
  const verifying = routes.filter(({ policy }) => policy.access !== AccessLevel.PUBLIC)
  return { plan: { routes, verifying, limits, omitted, contracts: exposed }, problems: problems.messages }

  /** The line of the policy of the method, of its service, or of the upstream. */
  function entryPosition(upstream: string, method: DescMethod): string {
    const { policies = {}, services: names = [] } = file.upstreams.find(({ name }) => name === upstream) ?? {}
    if (Object.hasOwn(policies, methodName(method))) return position(upstream, 'policies', methodName(method))
    return position(upstream, 'services', names.indexOf(method.parent.typeName))
  }

  /** The line of the limit in gateway.yaml, or else of the method. */
  function limitPosition(name: string, all: readonly ExposedService[]): string {
    if (Object.hasOwn(file.limits.methods, name)) return positionOfLimit('methods', name)
    const found = all.find(({ service }) => service.methods.some(method => methodName(method) === name))
    const method = found?.service.methods.find(candidate => methodName(candidate) === name)
    return found === undefined || method === undefined ? positionOfLimit() : entryPosition(found.upstream, method)
  }
}

/**
 * Checks that Redis is configured if a route verifies tokens: it carries the revocations.
 * @throws SettingsError that names the methods.
 */
export function assertRedis(
  { verifying }: RoutePlan,
  { REDIS_URL }: { readonly REDIS_URL?: string | undefined },
): void {
  if (verifying.length === 0 || REDIS_URL !== undefined) return
  const methods = [...new Set(verifying.map(({ descriptor }) => methodName(descriptor)))]
  throw new SettingsError(
    `REDIS_URL is required, because these methods verify tokens and Redis carries the revocations: ${methods.join(', ')}. ` +
      'Set REDIS_URL and AUTH_SVC_ADDRESS, or make the access of these methods public',
  )
}
