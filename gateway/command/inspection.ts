/** Runs the steps of the boot that need no connection. After an error it continues with the valid parts. */
import { readSettings } from '#runtime/process/env.ts'
import { type GatewaySettings, settingsSchema } from '../config.ts'
import {
  assertRedis,
  type Configuration,
  inspectRoutes,
  missingContracts,
  planRoutes,
  type RoutePlan,
  readConfiguration,
} from '../configuration.ts'
import { createProblems } from '../problems.ts'
import { readKeptContract } from '../reflected-contracts.ts'
import { createContractStore } from '../upstream/reflection/contract-store.ts'
import { isReflected } from '../upstream/upstream-config.ts'

/** What a boot would start with. */
export interface Boot {
  readonly settings: GatewaySettings
  readonly configuration: Configuration
  readonly plan: RoutePlan
}

export interface BootInspection {
  /** Undefined if gateway.yaml cannot be read. */
  readonly boot: Boot | undefined
  /** One line for each problem that would stop the boot. */
  readonly problems: readonly string[]
}

/** Finds all problems. @param env with GATEWAY_CONFIG (see `withConfig`). */
export function inspectBoot(env: NodeJS.ProcessEnv): BootInspection {
  const problems = createProblems()
  const settings = problems.attempt(() => readSettings(settingsSchema, env)) ?? readValidSettings(env)
  const configuration = problems.attempt(() => readWithKept(settings, env))
  if (configuration === undefined) return { boot: undefined, problems: problems.messages.flatMap(linesOf) }
  const { plan, problems: found } = inspectRoutes(configuration)
  found.forEach(problems.add)
  problems.attempt(() => assertRedis(plan, settings))
  return { boot: { settings, configuration, plan }, problems: problems.messages.flatMap(linesOf) }
}

/**
 * Reads what a boot would start with. REDIS_URL may be unset.
 * @throws SettingsError that lists all problems.
 */
export function readBoot(env: NodeJS.ProcessEnv): Boot {
  const settings = readSettings(settingsSchema, env)
  const configuration = readWithKept(settings, env)
  return { settings, configuration, plan: planRoutes(configuration) }
}

/** Contracts read by reflection are those of GATEWAY_CONTRACT_DIR, as at the start. */
function readWithKept(
  { GATEWAY_CONFIG, GATEWAY_CONTRACT_DIR }: GatewaySettings,
  env: NodeJS.ProcessEnv,
): Configuration {
  const store = createContractStore(GATEWAY_CONTRACT_DIR, { warn() {} })
  return readConfiguration(GATEWAY_CONFIG, env, config => readKeptContract(store, config))
}

/** What is unknown without a connection: one line for each upstream whose contract is read by reflection and not kept. */
export function unknownContracts(configuration: Configuration): string[] {
  // A contract that is a file and cannot be read is a problem.
  const reflected = new Set(configuration.file.upstreams.filter(isReflected).map(({ name }) => name))
  return missingContracts(configuration)
    .filter(name => reflected.has(name))
    .map(
      name =>
        `${configuration.inspection.positionOf(name)}: upstream ${name}: its contract is read by reflection and not kept in ` +
        'GATEWAY_CONTRACT_DIR, so its routes are unknown',
    )
}

/** The settings, with the default of each invalid one. All settings of the gateway have a default. */
function readValidSettings(env: NodeJS.ProcessEnv): GatewaySettings {
  const valid = Object.entries(settingsSchema).filter(([name, schema]) => schema.safeParse(env[name]).success)
  return readSettings(settingsSchema, Object.fromEntries(valid.map(([name]) => [name, env[name]])))
}

/** The lines of an error, without the headline of a list. */
function linesOf(message: string): string[] {
  const lines = message.split('\n')
  const isHeadline = (index: number) =>
    lines[index]?.endsWith(':') === true && lines[index + 1]?.startsWith('  ') === true
  return lines.filter((_, index) => !isHeadline(index)).map(line => line.trim())
}
