/** The contract of an upstream: its message types, and the services that gateway.yaml exposes. */
import type { FileRegistry } from '@bufbuild/protobuf'
import { ContractError, serviceOf } from '#runtime/grpc/contract.ts'
import { assertKnownNames, createExposure } from '../contract/exposure.ts'
import { readHttpRules } from '../contract/http-rules-file.ts'
import type { PolicyContext } from '../contract/policy-strictness.ts'
import type { ExposedService } from '../contract/route-table.ts'
import { createErrorForwarding, type ErrorForwarding } from './forwarded-errors.ts'
import type { UpstreamConfig } from './upstream-config.ts'

/** What exposure depends on besides the entry of the upstream. */
export interface ExposureSettings extends Pick<PolicyContext, 'compareLimits'> {
  /** Values of variables in the file of `httpRules`. */
  readonly env: NodeJS.ProcessEnv
}

export interface UpstreamContract {
  readonly registry: FileRegistry
  readonly exposed: readonly ExposedService[]
  readonly forwardError: ErrorForwarding
}

/**
 * Returns the contract of an upstream as gateway.yaml exposes it.
 * @throws ContractError that lists each service, policy and HTTP rule that the contract does not have; SettingsError if the
 * file of `httpRules` cannot be read.
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
  { compareLimits, env }: ExposureSettings,
): ExposedService[] {
  const { policies, unannotated, timeoutMs } = config
  const services = findServices(registry, config.services)
  const httpRules = config.httpRules === undefined ? new Map() : readHttpRules(config.httpRules, env)
  assertKnownNames(services, { policies, httpRules })
  const context = { compareLimits, defaultTimeoutMs: timeoutMs }
  const exposure = createExposure({ policies, httpRules, unannotated, context })
  return services.map(service => ({ service, upstream: config.name, exposure }))
}

function findServices(registry: FileRegistry, names: readonly string[]) {
  const problems: string[] = []
  const services = names.flatMap(name => {
    try {
      return [serviceOf(registry, name)]
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      problems.push(error.message)
      return []
    }
  })
  if (problems.length > 0) throw new ContractError(problems.join('\n  '))
  return services
}
