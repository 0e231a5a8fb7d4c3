/**
 * Reads HTTP rules from a gRPC API configuration file, for a contract that cannot be annotated
 * (https://cloud.google.com/endpoints/docs/grpc/grpc-service-config). Of the file, only `type` and `http` are used.
 */
import { fromJson, type JsonValue } from '@bufbuild/protobuf'
import { z } from 'zod'
import { HttpRuleSchema } from '#proto/google/api/http_pb.js'
import { ContractError, type HttpRule } from '#runtime/grpc/contract.ts'
import { readYamlFile } from '../yaml-file.ts'

const fileSchema = z.looseObject({
  type: z.literal('google.api.Service', { error: 'must be google.api.Service' }),
  http: z.strictObject({
    rules: z.array(z.looseObject({ selector: z.string('is required, such as shop.v1.Shop.GetItem') })),
    fullyDecodeReservedExpansion: z.literal(false).optional(),
    fully_decode_reserved_expansion: z.literal(false).optional(),
  }),
})

/** An HTTP rule of the file. */
export interface ExternalRule {
  readonly rule: HttpRule
  /** `FILE:LINE` of the rule, for error messages. */
  readonly position: string
}

/** The HTTP rules of a file, by `package.Service/Method`. */
export type ExternalRules = ReadonlyMap<string, ExternalRule>

/**
 * Reads the rules. Of several rules with one selector, the last applies (google/api/http.proto).
 * @param env values of variables in the file.
 * @throws ContractError that lists each invalid entry with its line; SettingsError as `readYamlFile`.
 */
export function readHttpRules(file: string, env: NodeJS.ProcessEnv): ExternalRules {
  const yaml = readYamlFile(file, env, 'Check `httpRules` in gateway.yaml')
  const result = fileSchema.safeParse(yaml.value)
  if (!result.success) {
    const problems = result.error.issues.map(
      ({ path, message }) => `${yaml.position(path)}: ${path.join('.') || 'the file'}: ${message}`,
    )
    throw new ContractError(`${file} is not a gRPC API configuration:\n  ${problems.join('\n  ')}`)
  }
  const rules = new Map<string, ExternalRule>()
  const problems: string[] = []
  for (const [index, json] of result.data.http.rules.entries()) {
    const position = yaml.position(['http', 'rules', index])
    const method = methodOf(json.selector)
    if (method === undefined) {
      problems.push(`${position}: the selector "${json.selector}" is not the full name of a method`)
      continue
    }
    try {
      rules.set(method, { rule: fromJson(HttpRuleSchema, json as JsonValue), position })
    } catch (error) {
      problems.push(`${position}: ${json.selector}: ${(error as Error).message}`)
    }
  }
  if (problems.length > 0) throw new ContractError(`Invalid HTTP rules:\n  ${problems.join('\n  ')}`)
  return rules
}

/** `package.Service.Method` as `package.Service/Method`. A selector of several methods cannot have one path. */
function methodOf(selector: string): string | undefined {
  const [, service, method] = /^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\.([A-Za-z_]\w*)$/.exec(selector) ?? []
  return service === undefined ? undefined : `${service}/${method}`
}
