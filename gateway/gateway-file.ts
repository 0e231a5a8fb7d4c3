/** Reads gateway.yaml: the upstreams of the gateway and the rate limits of callers. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'
import { limitsSchema } from './edge/limits/limit-classes.ts'
import { resolvePaths, upstreamSchema } from './upstream/upstreams.ts'

const fileSchema = z.strictObject({
  upstreams: z
    .array(upstreamSchema)
    .min(1)
    .refine(all => new Set(all.map(({ name }) => name)).size === all.length, 'must have unique names'),
  limits: limitsSchema,
})

/** The validated content of gateway.yaml. */
export type GatewayFile = z.output<typeof fileSchema>

/** `${NAME}` or `${NAME:-default}`, the variable syntax of Compose files. */
const VARIABLE = /\$\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Reads and validates the file. Relative paths in it are resolved against its folder.
 * @param env values of the variables in the file. An unset or empty variable has its default value.
 * @throws SettingsError that lists each variable without a value, or each invalid entry; an error of node:fs or of the
 * YAML parser if the file cannot be read or parsed.
 */
export function readGatewayFile(file: string, env: NodeJS.ProcessEnv): GatewayFile {
  const unset: string[] = []
  const text = readFileSync(file, 'utf8').replace(VARIABLE, (_, name: string, fallback?: string) => {
    const value = env[name] || fallback
    if (value === undefined) unset.push(name)
    return value ?? ''
  })
  if (unset.length > 0)
    throw new SettingsError(`${file} requires these variables, which are not set: ${unset.join(', ')}`)
  const result = fileSchema.safeParse(parse(text))
  if (!result.success) throw new SettingsError(`${file} is not valid:\n${z.prettifyError(result.error)}`)
  const folder = path.dirname(file)
  const upstreams = result.data.upstreams.map(upstream => resolvePaths(upstream, folder))
  return { ...result.data, upstreams }
}
