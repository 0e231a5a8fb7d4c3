/** Reads gateway.yaml: the upstreams of the gateway and the rate limits of callers. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Lexer, parse } from 'yaml'
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
 * @throws SettingsError with the path, if the file cannot be read or is not YAML, or with each variable without a value, or
 * each invalid entry.
 */
export function readGatewayFile(file: string, env: NodeJS.ProcessEnv): GatewayFile {
  const result = fileSchema.safeParse(parseYaml(file, replaceVariables(file, readText(file), env)))
  if (!result.success) throw new SettingsError(`${file} is not valid:\n${z.prettifyError(result.error)}`)
  const folder = path.dirname(file)
  const upstreams = result.data.upstreams.map(upstream => resolvePaths(upstream, folder))
  return { ...result.data, upstreams }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SettingsError(`cannot read ${file}: ${(cause as Error).message}. Check GATEWAY_CONFIG`, { cause })
  }
}

/** Replaces the variables outside of comments. */
function replaceVariables(file: string, text: string, env: NodeJS.ProcessEnv): string {
  const unset: string[] = []
  const replaced = splitComments(text).map(({ part, isComment }) => {
    if (isComment) return part
    return part.replace(VARIABLE, (_, name: string, fallback?: string) => {
      const value = env[name] || fallback
      if (value === undefined) unset.push(name)
      return value ?? ''
    })
  })
  if (unset.length === 0) return replaced.join('')
  throw new SettingsError(`${file} requires these variables, which are not set: ${unset.join(', ')}`)
}

/** The lexer reads the text before the replacement, in which a variable may be several tokens. */
function splitComments(text: string): { part: string; isComment: boolean }[] {
  const parts: { part: string; isComment: boolean }[] = []
  for (const token of new Lexer().lex(text)) {
    // Control tokens of the lexer, which are not in the text.
    if (CONTROL_TOKENS.includes(token)) continue
    const isComment = token.startsWith('#')
    const last = parts.at(-1)
    if (last?.isComment === isComment) last.part += token
    else parts.push({ part: token, isComment })
  }
  return parts
}

/** Start of a document, of a flow error, and of a scalar (node_modules/yaml/dist/parse/cst.js). */
const CONTROL_TOKENS = ['\u0002', '\u0018', '\u001f']

function parseYaml(file: string, text: string): unknown {
  try {
    return parse(text)
  } catch (cause) {
    throw new SettingsError(`${file} is not valid YAML: ${(cause as Error).message}`, { cause })
  }
}
