/** gateway.yaml: what is behind the gateway, and how much of it each caller may have. */
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
    .refine(all => new Set(all.map(({ name }) => name)).size === all.length, 'have each a name of its own'),
  limits: limitsSchema,
})

export type GatewayFile = z.output<typeof fileSchema>

/**
 * @param env for `${NAME}` and `${NAME:-default}` in the file, as compose has them.
 * @throws SettingsError that names each bad entry.
 */
export function readGatewayFile(file: string, env: NodeJS.ProcessEnv): GatewayFile {
  const missing: string[] = []
  const text = readFileSync(file, 'utf8').replace(
    /\$\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}/g,
    (_, name: string, fallback?: string) => {
      const value = env[name] || fallback
      if (value === undefined) missing.push(name)
      return value ?? ''
    },
  )
  if (missing.length > 0)
    throw new SettingsError(`${file} takes these settings, which are not set: ${missing.join(', ')}`)
  const result = fileSchema.safeParse(parse(text))
  if (!result.success) throw new SettingsError(`${file} is not valid:\n${z.prettifyError(result.error)}`)
  const folder = path.dirname(file)
  const upstreams = result.data.upstreams.map(upstream => resolvePaths(upstream, folder))
  return { ...result.data, upstreams }
}
