/** What the gateway serves: gateway.yaml, the contract of each upstream, and the routes that follow from them. */
import type { FileRegistry } from '@bufbuild/protobuf'
import { ContractError, readContract } from '#runtime/grpc/contract.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { buildRouteTable, type OmittedRoute, type Route } from './contract/route-table.ts'
import { createLimitOrder } from './edge/limits/limit-order.ts'
import { type GatewayFile, readGatewayFile } from './gateway-file.ts'
import { exposeContract, type UpstreamContract } from './upstream/upstream-contract.ts'

export interface Configuration {
  /** Path of gateway.yaml, which errors name. */
  readonly path: string
  readonly file: GatewayFile
  /** By name of the upstream. An upstream without a contract has no routes. */
  readonly contracts: ReadonlyMap<string, FileRegistry>
  /** Values of variables in gateway.yaml and in the files that it names. */
  readonly env: NodeJS.ProcessEnv
}

/** The routes of a configuration. */
export interface RoutePlan {
  readonly routes: readonly Route[]
  /** Methods and bindings that are not served. */
  readonly omitted: readonly OmittedRoute[]
  /** By name of the upstream. */
  readonly contracts: ReadonlyMap<string, UpstreamContract>
}

/**
 * Reads gateway.yaml and the contracts that it names.
 * @throws SettingsError that lists the problems of the file, or of all contracts.
 */
export function readConfiguration(path: string, env: NodeJS.ProcessEnv): Configuration {
  const file = readGatewayFile(path, env)
  const contracts = collect(path, file.upstreams, ({ contract }) => readContract(contract))
  return { path, file, contracts, env }
}

/**
 * Builds the routes.
 * @throws SettingsError that lists the problems of all upstreams; ContractError that lists those of all methods.
 */
export function planRoutes({ path, file, contracts, env }: Configuration): RoutePlan {
  const settings = { compareLimits: createLimitOrder(file.limits), env }
  const available = file.upstreams.filter(({ name }) => contracts.has(name))
  const exposed = collect(path, available, config =>
    exposeContract(config, contracts.get(config.name) as FileRegistry, settings),
  )
  const omitted: OmittedRoute[] = []
  const services = [...exposed.values()].flatMap(contract => contract.exposed)
  return { routes: buildRouteTable(services, route => void omitted.push(route)), omitted, contracts: exposed }
}

/** Applies `step` to each upstream and reports the problems of all of them at once. */
function collect<T>(
  path: string,
  upstreams: GatewayFile['upstreams'],
  step: (config: GatewayFile['upstreams'][number]) => T,
) {
  const problems: string[] = []
  const results = new Map<string, T>()
  for (const config of upstreams) {
    try {
      results.set(config.name, step(config))
    } catch (error) {
      if (!(error instanceof ContractError || error instanceof SettingsError)) throw error
      problems.push(`${path}: upstream ${config.name}: ${error.message}`)
    }
  }
  if (problems.length > 0) throw new SettingsError(problems.join('\n'))
  return results
}
