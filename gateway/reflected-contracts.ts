/**
 * The contracts that are read by reflection. A contract that has changed becomes part of the configuration in use, unless it
 * is invalid, weakens access, or takes a path from another upstream; then the contract in use stays.
 *
 * An operator decides by gateway.yaml: reading it again accepts the contract as it is at that time, and `default` of
 * `policies` then applies to its new methods. So does the first attempt to read a contract, at boot. A restart does not accept
 * weaker policies than those of the kept contract, because processes also restart without an operator.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { FileRegistry } from '@bufbuild/protobuf'
import { ContractError, parseContract } from '#runtime/grpc/contract.ts'
import type { Logger } from '#runtime/observability/logger.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { type Configuration, planRoutes } from './configuration.ts'
import { findChangeProblems, recordPolicies, type ServedPolicies } from './contract/contract-change.ts'
import type { Route } from './contract/route-table.ts'
import { createLimitOrder } from './edge/limits/limit-order.ts'
import type { Reloader, ReloadOutcome } from './reload.ts'
import { type ContractSource, followContract, type ReadOutcome } from './upstream/reflection/contract-source.ts'
import { type ContractStore, createContractStore } from './upstream/reflection/contract-store.ts'
import { reflectionSchema } from './upstream/reflection/reflection-config.ts'
import { readTlsCredentials } from './upstream/tls-credentials.ts'
import { isReflected, type UpstreamConfig } from './upstream/upstream-config.ts'
import { methodsOf } from './upstream/upstream-contract.ts'

export interface ReflectedContractsOptions {
  /** Folder that keeps the contracts in use. Undefined: they are not kept. */
  readonly folder: string | undefined
  readonly logger: Logger
  readonly onRead: (upstream: string, outcome: ReadOutcome) => void
  readonly replace: Reloader['replace']
}

/** Reads the configuration. @param known the contracts to use for upstreams whose contract is read by reflection. */
export type ReadConfiguration = (known: (config: UpstreamConfig) => FileRegistry | undefined) => Configuration

export interface ReflectedContracts {
  /** Reads the first configuration, with the kept contracts that are still valid. @throws as `read` without a contract. */
  first(read: ReadConfiguration): Configuration
  /**
   * Replaces the configuration by another one, with the contracts as they were read last. If that fails, tries again with
   * those in use.
   */
  reload(read: ReadConfiguration, reason: string): Promise<ReloadOutcome>
  /** Starts to read the contracts of a configuration that is in use. Stops reading those of other upstreams. */
  follow(configuration: Configuration): void
  /** Resolves when each contract was read or could not be read once, or after `timeoutMs` milliseconds. */
  attempted(timeoutMs: number): Promise<void>
  /** Returns why the contract of an upstream is missing or not the one that its server has. */
  readonly problem: (upstream: string) => string | undefined
  readonly states: () => { readonly upstream: string; readonly isAvailable: boolean }[]
  stop(): void
}

/** A contract and its image. */
interface Contract {
  readonly image: Uint8Array
  readonly registry: FileRegistry
}

interface Followed {
  /** Changes with the connection or the services. */
  key: string
  source: ContractSource
  problem: string | undefined
}

export function createReflectedContracts(options: ReflectedContractsOptions): ReflectedContracts {
  const { logger, onRead, replace } = options
  const store = createContractStore(options.folder, logger)
  /** By name of the upstream, as are the maps below. */
  const inUse = new Map<string, Contract>()
  /** Read and refused, since gateway.yaml was read. */
  const refused = new Map<string, Contract>()
  const served = new Map<string, ServedPolicies>()
  const followed = new Map<string, Followed>()

  function loadKept(config: UpstreamConfig): FileRegistry | undefined {
    const { name } = config
    const image = store.load(name)
    if (image === undefined) return undefined
    try {
      const registry = parseImage(image)
      if (ifComplete(config, registry) === undefined) throw new ContractError('it lacks a service that is exposed')
      inUse.set(name, { image, registry })
    } catch (error) {
      logger.warn(
        { upstream: name, file: store.pathOf(name), err: error },
        'kept contract invalid; continuing without it',
      )
    }
    return inUse.get(name)?.registry
  }

  /** Takes the policies of a configuration that gateway.yaml was just read for. */
  function recordAll(configuration: Configuration): void {
    const reflected = configuration.file.upstreams.filter(isReflected)
    if (reflected.length === 0) return
    const { routes } = planRoutes(configuration)
    for (const { name } of reflected) {
      served.set(name, recordPolicies(routesOf(name, routes)))
    }
  }

  /** Offers a contract that an upstream has. */
  async function offer(name: string, image: Uint8Array, isFirstAttempt: boolean): Promise<boolean> {
    let problem = 'see the log'
    let next: Contract | undefined
    let policies: ServedPolicies = new Map()

    function change(current: Configuration): Configuration {
      try {
        next = { image, registry: parseImage(image) }
        const changed = withContract(current, name, next.registry, isFirstAttempt)
        policies = checkChange(changed, name, current)
        return changed
      } catch (error) {
        problem = (error as Error).message
        throw error
      }
    }

    const outcome = await replace(change, `contract of upstream ${name} read by reflection`)
    const entry = followed.get(name)
    if (next === undefined || outcome === 'failure') {
      if (next !== undefined) refused.set(name, next)
      if (entry !== undefined) entry.problem = `the contract of the server was refused: ${problem}`
      return false
    }
    refused.delete(name)
    inUse.set(name, next)
    served.set(name, policies)
    await store.save(name, image)
    return true
  }

  /** @throws ContractError that lists what the contract may not change. @returns the policies that it has had. */
  function checkChange(configuration: Configuration, name: string, current: Configuration): ServedPolicies {
    const { file } = configuration
    const own = routesOf(name, planRoutes(configuration).routes)
    const others = planRoutes(current).routes.filter(({ upstream }) => upstream !== name)
    const before = served.get(name) ?? new Map()
    const { timeoutMs } = configOf(configuration, name)
    const context = { compareLimits: createLimitOrder(file.limits), defaultTimeoutMs: timeoutMs }
    const problems = findChangeProblems(own, before, others, context)
    if (problems.length === 0) return recordPolicies(own, before)
    const kept = store.pathOf(name)
    const cure = `To accept it, ${kept === undefined ? '' : `delete ${kept} and `}send SIGHUP`
    throw new ContractError(`upstream ${name}: its contract has changed:\n  ${problems.join('\n  ')}\n${cure}`)
  }

  function follow(configuration: Configuration): void {
    const reflected = configuration.file.upstreams.filter(isReflected)
    for (const [name, { source }] of followed) {
      if (reflected.some(config => config.name === name)) continue
      source.stop()
      for (const map of [followed, inUse, refused, served]) map.delete(name)
    }
    for (const config of reflected) followUpstream(config, configuration.path)
  }

  function followUpstream(config: UpstreamConfig, path: string): void {
    const { name, address, tls, keepalive, services } = config
    const settings = config.reflection ?? reflectionSchema.parse({})
    const origin = `${path}: upstream ${name}: ${address}`
    const connection = {
      address,
      maxMessageLength: settings.maxBytes,
      tls: tls && readTlsCredentials(tls, `${path}: upstream ${name}: tls`),
      keepalive,
      origin,
    }
    const key = JSON.stringify([connection, services, settings])
    const old = followed.get(name)
    if (old?.key === key) return
    old?.source.stop()
    const source = followContract(
      {
        name,
        connection,
        services,
        settings,
        logger,
        offer: (image, isFirstAttempt) => offer(name, image, isFirstAttempt),
        onRead(outcome, problem) {
          onRead(name, outcome)
          if (outcome === 'accepted') entry.problem = undefined
          if (outcome === 'failed' && !inUse.has(name)) entry.problem = `its contract was not read: ${problem}`
        },
      },
      inUse.get(name)?.image,
    )
    const entry: Followed = {
      key,
      source,
      problem: inUse.has(name) ? undefined : 'its contract has not been read yet',
    }
    followed.set(name, entry)
  }

  return {
    first(read) {
      const configuration = read(loadKept)
      const valid = withoutInvalid(configuration, (name, error) => {
        inUse.delete(name)
        logger.warn(
          { upstream: name, file: store.pathOf(name), problem: error.message },
          'kept contract does not fit gateway.yaml; continuing without it',
        )
      })
      recordAll(valid)
      if (options.folder === undefined && valid.file.upstreams.some(isReflected)) {
        logger.warn('GATEWAY_CONTRACT_DIR is not set: contracts read by reflection are lost when the process ends')
      }
      return valid
    },
    async reload(read, reason) {
      let configuration: Configuration | undefined
      const attempts = refused.size > 0 ? [[refused, inUse], [inUse]] : [[inUse]]
      for (const maps of attempts) {
        const contractOf = (name: string) => maps.map(map => map.get(name)).find(contract => contract !== undefined)
        const outcome = await replace(current => {
          configuration = read(
            config => contractOf(config.name)?.registry ?? ifComplete(config, current.contracts.get(config.name)),
          )
          return configuration
        }, reason)
        if (outcome === 'failure' || configuration === undefined) continue
        for (const { name } of configuration.file.upstreams.filter(isReflected)) {
          const contract = contractOf(name)
          if (contract === undefined || contract === inUse.get(name)) continue
          inUse.set(name, contract)
          refused.delete(name)
          const entry = followed.get(name)
          if (entry !== undefined) entry.problem = undefined
          void store.save(name, contract.image)
        }
        recordAll(configuration)
        follow(configuration)
        return 'success'
      }
      return 'failure'
    },
    follow,
    async attempted(timeoutMs) {
      const timeout = new AbortController()
      const all = Promise.all([...followed.values()].map(({ source }) => source.attempted))
      await Promise.race([all, delay(timeoutMs, undefined, { signal: timeout.signal }).catch(() => {})])
      timeout.abort()
    },
    problem: name => followed.get(name)?.problem,
    states: () => [...followed.keys()].map(upstream => ({ upstream, isAvailable: inUse.has(upstream) })),
    stop() {
      for (const { source } of followed.values()) source.stop()
    },
  }
}

/** @throws ContractError if the bytes are not a contract. */
function parseImage(image: Uint8Array): FileRegistry {
  try {
    return parseContract(image)
  } catch (cause) {
    throw new ContractError(`the descriptors are not valid: ${(cause as Error).message}`, { cause })
  }
}

/** Returns the kept contract of an upstream; undefined if there is none, or it is not valid. */
export function readKeptContract(store: Pick<ContractStore, 'load'>, config: UpstreamConfig): FileRegistry | undefined {
  const image = store.load(config.name)
  try {
    return image && ifComplete(config, parseImage(image))
  } catch (error) {
    if (!(error instanceof ContractError)) throw error
    return undefined
  }
}

/** @param resetsMethods whether `default` of `policies` applies to all methods that the contract has now. */
function withContract(
  current: Configuration,
  name: string,
  registry: FileRegistry,
  resetsMethods: boolean,
): Configuration {
  const known = current.knownMethods.get(name)
  const methods = known === undefined || resetsMethods ? methodsOf(configOf(current, name), registry) : known
  return {
    ...current,
    contracts: new Map([...current.contracts, [name, registry]]),
    knownMethods: new Map([...current.knownMethods, [name, methods]]),
  }
}

/** Removes the contracts read by reflection with which the routes cannot be built. */
function withoutInvalid(configuration: Configuration, onInvalid: (name: string, error: Error) => void): Configuration {
  const reflected = configuration.file.upstreams.filter(isReflected)
  const contracts = new Map(configuration.contracts)
  for (const { name } of reflected) contracts.delete(name)
  for (const { name } of reflected) {
    const registry = configuration.contracts.get(name)
    if (registry === undefined) continue
    try {
      planRoutes({ ...configuration, contracts: contracts.set(name, registry) })
    } catch (error) {
      if (!(error instanceof ContractError || error instanceof SettingsError)) throw error
      contracts.delete(name)
      onInvalid(name, error)
    }
  }
  return { ...configuration, contracts }
}

/** Returns the contract if it has all services that gateway.yaml exposes. */
function ifComplete(config: UpstreamConfig, contract: FileRegistry | undefined): FileRegistry | undefined {
  return config.services.every(service => contract?.getService(service) !== undefined) ? contract : undefined
}

/** @throws ContractError if gateway.yaml no longer has the upstream. */
function configOf({ file }: Configuration, name: string): UpstreamConfig {
  const config = file.upstreams.find(candidate => candidate.name === name && isReflected(candidate))
  if (config === undefined) throw new ContractError(`gateway.yaml has no upstream ${name} with contract: reflection`)
  return config
}

function routesOf(name: string, routes: readonly Route[]): Route[] {
  return routes.filter(({ upstream }) => upstream === name)
}
