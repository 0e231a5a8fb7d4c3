/** The contract of an upstream: its message types, and the services that gateway.yaml exposes. */
import type { FileRegistry } from '@bufbuild/protobuf'
import { ContractError, methodName, serviceOf } from '#runtime/grpc/contract.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { createExposure, findUnknownNames } from '../contract/exposure.ts'
import { type ExternalRules, readHttpRules } from '../contract/http-rules-file.ts'
import type { PolicyContext } from '../contract/policy-strictness.ts'
import type { ExposedService } from '../contract/route-table.ts'
import { findTrustedOptions } from '../contract/trusted-options.ts'
import { createErrorForwarding, type ErrorForwarding } from './forwarded-errors.ts'
import { isReflected, type UpstreamConfig } from './upstream-config.ts'

/** What exposure depends on besides the entry of the upstream. */
export interface ExposureSettings extends Pick<PolicyContext, 'compareLimits'> {
  /** Values of variables in the file of `httpRules`. */
  readonly env: NodeJS.ProcessEnv
  /**
   * Methods that the contract had when gateway.yaml was read: `default` of `policies` applies to no other. Default: it
   * applies to all.
   */
  readonly knownMethods?: ReadonlySet<string> | undefined
  /** Returns `FILE:LINE` of an entry of the upstream, for errors. */
  readonly position?: (...entry: PropertyKey[]) => string
}

export interface UpstreamContract {
  readonly registry: FileRegistry
  readonly exposed: readonly ExposedService[]
  readonly forwardError: ErrorForwarding
}

/**
 * Returns the contract of an upstream as gateway.yaml exposes it.
 * @throws ContractError that lists, one per line, each service, policy and HTTP rule that the contract does not have, and each
 * option that requires trust; SettingsError if the file of `httpRules` cannot be read.
 */
export function exposeContract(
  config: UpstreamConfig,
  registry: FileRegistry,
  settings: ExposureSettings,
): UpstreamContract {
  const exposed = exposeServices(config, registry, settings)
  return { registry, exposed, forwardError: createErrorForwarding({ ...config, registry }) }
}

function exposeServices(
  config: UpstreamConfig,
  registry: FileRegistry,
  { compareLimits, env, knownMethods, position = () => 'gateway.yaml' }: ExposureSettings,
): ExposedService[] {
  const { name, policies, unannotated, timeoutMs } = config
  const problem = (entry: readonly PropertyKey[], message: string) =>
    `${position(...entry)}: upstream ${name}: ${message}`
  const { services, unknown } = findServices(registry, config.services)
  const httpRules = config.httpRules === undefined ? new Map() : readRules(config.httpRules)
  const names = findUnknownNames(services, { policies, httpRules }, knownMethods)
  const trustsContract = !isReflected(config) || config.trusted
  const refused = trustsContract ? [] : findTrustedOptions(services)
  const all = [
    ...unknown.map(({ index, message }) => problem(['services', index], message)),
    // The policies of a service that does not exist have one error, at the service.
    ...(unknown.length > 0 ? [] : names.map(({ entry, message }) => problem(entry, message))),
    ...refused.map(message => problem(['contract'], message)),
  ]
  if (all.length > 0) throw new ContractError(all.join('\n'))
  const context = { compareLimits, defaultTimeoutMs: timeoutMs }
  const exposure = createExposure({
    policies,
    httpRules,
    unannotated,
    context,
    trustsContract,
    hasDefault: method => knownMethods === undefined || knownMethods.has(methodName(method)),
  })
  return services.map(service => ({ service, upstream: name, exposure, registry }))

  function readRules(file: string): ExternalRules {
    try {
      return readHttpRules(file, env)
    } catch (error) {
      // An invalid rule has its own file and line. A file that cannot be read has the line that names it.
      if (!(error instanceof SettingsError)) throw error
      throw new SettingsError(problem(['httpRules'], error.message), { cause: error })
    }
  }
}

/** Names of the methods that gateway.yaml exposes. A service that the contract lacks has none. */
export function methodsOf({ services }: Pick<UpstreamConfig, 'services'>, registry: FileRegistry): Set<string> {
  const found = services.flatMap(name => registry.getService(name) ?? [])
  return new Set(found.flatMap(({ methods }) => methods.map(methodName)))
}

function findServices(registry: FileRegistry, names: readonly string[]) {
  const unknown: { index: number; message: string }[] = []
  const services = names.flatMap((name, index) => {
    try {
      return [serviceOf(registry, name)]
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      unknown.push({ index, message: error.message })
      return []
    }
  })
  return { services, unknown }
}
