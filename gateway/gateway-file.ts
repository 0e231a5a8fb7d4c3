/** Reads gateway.yaml: the upstreams of the gateway and the rate limits of callers. */
import path from 'node:path'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'
import { limitsSchema } from './edge/limits/limit-classes.ts'
import { resolvePaths, upstreamSchema } from './upstream/upstream-config.ts'
import { readYamlFile } from './yaml-file.ts'

const fileSchema = z.strictObject({
  upstreams: z
    .array(upstreamSchema)
    .min(1)
    .refine(all => new Set(all.map(({ name }) => name)).size === all.length, 'must have unique names')
    .describe('The gRPC services behind the gateway.'),
  limits: limitsSchema.describe('Rate limits. Default: the classes user and anonymous of docs/configuration.md.'),
})

/** The validated content of gateway.yaml. */
export type GatewayFile = z.output<typeof fileSchema>

/**
 * Reads and validates the file. Relative paths in it are resolved against its folder.
 * @param env values of the variables in the file. An unset or empty variable has its default value.
 * @throws SettingsError with the path, if the file cannot be read or is not YAML, or with each variable without a value, or
 * each invalid entry and its line.
 */
export function readGatewayFile(file: string, env: NodeJS.ProcessEnv): GatewayFile {
  const yaml = readYamlFile(file, env, 'Check GATEWAY_CONFIG')
  const result = fileSchema.safeParse(yaml.value)
  if (!result.success) {
    const problems = result.error.issues.map(
      ({ path: entry, message }) => `${yaml.position(entry)}: ${z.core.toDotPath(entry) || 'the file'}: ${message}`,
    )
    throw new SettingsError(`${file} is not valid:\n  ${problems.join('\n  ')}`)
  }
  const folder = path.dirname(file)
  const upstreams = result.data.upstreams.map(upstream => resolvePaths(upstream, folder))
  return { ...result.data, upstreams }
}

/** Returns the JSON Schema of the file (gateway.schema.json), for editors. */
export function gatewayFileSchema(): object {
  return { title: 'gateway.yaml of Gatehouse', ...z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' }) }
}
