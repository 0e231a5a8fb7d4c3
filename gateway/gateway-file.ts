/** Reads gateway.yaml: the upstreams of the gateway and the rate limits of callers. */
import { dirname } from 'node:path'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'
import { limitsSchema } from './edge/limits/limit-classes.ts'
import { resolvePaths, upstreamSchema } from './upstream/upstream-config.ts'
import { readYamlFile } from './yaml-file.ts'

const apiSchema = z
  .strictObject({
    title: z.string().min(1).default('API').describe('Title of the API reference. Default: API.'),
    version: z.coerce.string().min(1).default('1').describe('Version of the API. Default: 1.'),
    description: z
      .string()
      .min(1)
      .optional()
      .describe('Introduction of the API reference, in Markdown. Default: generated from the routes and limits.'),
  })
  .prefault({})

const fileSchema = z.strictObject({
  api: apiSchema.describe('Title, version and introduction of the OpenAPI document.'),
  upstreams: z
    .array(upstreamSchema)
    .min(1)
    .refine(all => new Set(all.map(({ name }) => name)).size === all.length, 'must have unique names')
    .describe('The gRPC services behind the gateway.'),
  limits: limitsSchema.describe('Rate limits. Default: the classes user and anonymous of docs/configuration.md.'),
})

/** The validated content of gateway.yaml. */
export type GatewayFile = z.output<typeof fileSchema>

/** What is valid of gateway.yaml, and what is not. */
export interface GatewayFileInspection {
  /** The valid upstreams, and the limits: the default ones if those in the file are invalid. */
  readonly file: GatewayFile
  /** Whether `file.limits` are those of the file. */
  readonly areLimitsValid: boolean
  /** One message for each invalid entry, with its line. */
  readonly problems: readonly string[]
  /** Returns `FILE:LINE` of a valid upstream, or of an entry in it, or of the closest entry above that exists. */
  positionOf(upstream: string, ...entry: PropertyKey[]): string
  /** Returns `FILE:LINE` of an entry in `limits`. */
  positionOfLimit(...entry: PropertyKey[]): string
}

/**
 * Reads and validates the file. Relative paths in it are resolved against its folder.
 * @param env values of the variables in the file. An unset or empty variable has its default value.
 * @throws SettingsError with the path, if the file cannot be read or is not YAML, or with each variable without a value, or
 * each invalid entry and its line.
 */
export function readGatewayFile(file: string, env: NodeJS.ProcessEnv): GatewayFile {
  const inspection = inspectGatewayFile(file, env)
  if (inspection.problems.length === 0) return inspection.file
  throw new SettingsError(`${file} is not valid:\n  ${inspection.problems.join('\n  ')}`)
}

/**
 * Reads the file as `readGatewayFile`, and keeps its valid upstreams if others are not.
 * @throws SettingsError with the path, if the file cannot be read or is not YAML, or with each variable without a value.
 */
export function inspectGatewayFile(path: string, env: NodeJS.ProcessEnv): GatewayFileInspection {
  const yaml = readYamlFile(path, env, 'Check GATEWAY_CONFIG, or `--config` of the command')
  const { success, data, error } = fileSchema.safeParse(yaml.value)
  const valid = success ? data : validPartsOf(yaml.value)
  const indexes = new Map(namesOf(yaml.value).map((name, index) => [name, index]))
  return {
    file: { ...valid, upstreams: valid.upstreams.map(upstream => resolvePaths(upstream, dirname(path))) },
    areLimitsValid: error === undefined || error.issues.every(issue => issue.path[0] !== 'limits'),
    problems: (error?.issues ?? []).map(issue => {
      const { path: entry, message } = issue
      // The path of an unknown key is that of the entry around it.
      const place = issue.code === 'unrecognized_keys' ? [...entry, ...issue.keys.slice(0, 1)] : entry
      return `${yaml.position(place)}: ${z.core.toDotPath(entry) || 'the file'}: ${message}`
    }),
    positionOf: (upstream, ...entry) => yaml.position(['upstreams', indexes.get(upstream) ?? 0, ...entry]),
    positionOfLimit: (...entry) => yaml.position(['limits', ...entry]),
  }
}

const structureSchema = z.object({
  api: apiSchema.catch(apiSchema.parse(undefined)),
  upstreams: z.array(z.unknown()).catch([]),
  limits: limitsSchema.catch(limitsSchema.parse(undefined)),
})

/** The upstreams that are valid by themselves, with unique names. */
function validPartsOf(value: unknown): GatewayFile {
  const { api, upstreams, limits } = structureSchema.catch(structureSchema.parse({})).parse(value)
  const valid = upstreams.flatMap(entry => upstreamSchema.safeParse(entry).data ?? [])
  return { api, upstreams: [...new Map(valid.map(upstream => [upstream.name, upstream])).values()], limits }
}

function namesOf(value: unknown): unknown[] {
  const { upstreams } = structureSchema.catch(structureSchema.parse({})).parse(value)
  return upstreams.map(entry => z.object({ name: z.string() }).safeParse(entry).data?.name)
}

/** Returns the JSON Schema of the file (gateway.schema.json), for editors. */
export function gatewayFileSchema(): object {
  return { title: 'gateway.yaml of Gatehouse', ...z.toJSONSchema(fileSchema, { io: 'input', unrepresentable: 'any' }) }
}
