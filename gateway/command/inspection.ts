/** Runs the steps of the boot that need no connection, and goes on after an error with what is valid. */
import { readSettings } from '#runtime/process/env.ts'
import { type GatewaySettings, settingsSchema } from '../config.ts'
import {
  assertRedis,
  type Configuration,
  inspectRoutes,
  planRoutes,
  type RoutePlan,
  readConfiguration,
} from '../configuration.ts'
import { createProblems } from '../problems.ts'

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
  const configuration = problems.attempt(() => readConfiguration(settings.GATEWAY_CONFIG, env))
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
  const configuration = readConfiguration(settings.GATEWAY_CONFIG, env)
  return { settings, configuration, plan: planRoutes(configuration) }
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
