/** The section `upstreams` of `gateway.yaml`: name, address, contract, exposed services and connection settings. */
import path from 'node:path'
import { z } from 'zod'
import { policiesSchema } from '../contract/policy-entries.ts'
import { errorFields } from './forwarded-errors.ts'
import { MAX_SERVICE_LENGTH } from './health.ts'
import { REFLECTION, reflectionSchema } from './reflection/reflection-config.ts'
import { resilienceFields } from './resilience-config.ts'
import { resolveTlsFiles, tlsSchema } from './tls-credentials.ts'
import { MAX_KEEPALIVE_INTERVAL_MS } from './transport.ts'

const keepaliveSchema = z
  .strictObject({
    intervalMs: z
      .int()
      .min(1000)
      .max(MAX_KEEPALIVE_INTERVAL_MS)
      .default(10_000)
      .describe(
        'Time without data before a PING is sent, in milliseconds, at least 1000. Servers disconnect clients that ping too often; many require 300000.',
      ),
    timeoutMs: z.int().positive().default(2000).describe('Time to wait for the acknowledgement, in milliseconds.'),
    withoutCalls: z.boolean().default(false).describe('Whether PINGs are sent while no call is in progress.'),
  })
  .prefault({})

/** One entry of `upstreams`. */
export const upstreamSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]*$/, 'must be lower-case letters, digits and dashes')
      .describe('Unique name: the label in metrics and logs.'),
    address: z
      .string()
      .min(1)
      .describe(
        'gRPC target, such as dns:///search:50053 (all addresses of the name), or a list of addresses separated by commas.',
      ),
    contract: z
      .string()
      .min(1)
      .describe(
        'Path of the contract image, relative to this file: the output of `buf build --as-file-descriptor-set` or `protoc --include_imports --descriptor_set_out`. `reflection`: the contract is read from the upstream by gRPC server reflection.',
      ),
    reflection: reflectionSchema.optional(),
    trusted: z
      .boolean()
      .default(false)
      .describe(
        'With `contract: reflection`: whether policies, cookies and revocations in the contract count. Default: policies come from this file only. The contract in a file is always trusted.',
      ),
    services: z
      .array(z.string())
      .min(1)
      .describe('Full names of the services to expose, such as search.v1.SearchService.'),
    policies: policiesSchema.describe(
      'Policies of methods, by `package.Service/Method`, `package.Service` or `default`; the most specific applies. Where the contract has a policy, the stricter value of each field applies, unless the entry says `override: true`.',
    ),
    httpRules: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Path of a gRPC API configuration file (`type: google.api.Service`) with HTTP rules, relative to this file. Its rules replace those in the contract.',
      ),
    unannotated: z
      .enum(['post'])
      .optional()
      .describe(
        '`post`: a method without an HTTP rule is served as `POST /package.Service/Method`. Default: it is not exposed.',
      ),
    transport: z
      .enum(['http2', 'grpc-js'])
      .default('http2')
      .describe(
        '`http2`: the client of the gateway. `grpc-js`: @grpc/grpc-js, which uses several times the CPU and has no health checks.',
      ),
    tls: tlsSchema
      .optional()
      .describe('TLS to the upstream. {} trusts the certificate authorities of Node.js. Default: no TLS.'),
    health: z
      .union([z.boolean(), z.string().min(1).max(MAX_SERVICE_LENGTH)])
      .default(false)
      .describe('Health checking by grpc.health.v1: of the server as a whole (`true`) or of the named service.'),
    keepalive: keepaliveSchema.describe('Keepalive by HTTP/2 PING.'),
    timeoutMs: z
      .int()
      .positive()
      .default(2500)
      .describe('Timeout of calls whose method has none in its policy, in milliseconds.'),
    maxMessageLength: z
      .int()
      .positive()
      .default(4 * 1024 * 1024)
      .describe('Maximum size of a response message, in bytes. A larger one is 502 `upstream_answer_too_large`.'),
    ...resilienceFields,
    ...errorFields,
  })
  .refine(({ transport, health }) => transport === 'http2' || health === false, {
    path: ['health'],
    message: 'requires transport http2; transport grpc-js does not support health checking',
  })
  .refine(({ contract, trusted }) => isReflected({ contract }) || !trusted, {
    path: ['trusted'],
    message: 'requires `contract: reflection`; the contract in a file is always trusted',
  })
  .refine(({ contract, reflection }) => isReflected({ contract }) || reflection === undefined, {
    path: ['reflection'],
    message: 'requires `contract: reflection`',
  })
  .superRefine(({ transport, retries, ejection, canary }, context) => {
    if (transport === 'http2') return
    for (const [key, value] of Object.entries({ retries, ejection, canary })) {
      if (!value) continue
      context.addIssue({
        code: 'custom',
        path: [key],
        message: 'requires transport http2; grpc-js does not support it',
      })
    }
  })

export type UpstreamConfig = z.output<typeof upstreamSchema>

/** Whether the contract is read by reflection, and not from a file. */
export function isReflected({ contract }: { readonly contract: string }): boolean {
  return contract === REFLECTION
}

/** Resolves the paths of an entry relative to `folder`, the folder of `gateway.yaml`. */
export function resolvePaths(upstream: UpstreamConfig, folder: string): UpstreamConfig {
  const { contract, httpRules, tls } = upstream
  return {
    ...upstream,
    contract: isReflected(upstream) ? contract : path.resolve(folder, contract),
    httpRules: httpRules && path.resolve(folder, httpRules),
    tls: tls && resolveTlsFiles(tls, folder),
  }
}
