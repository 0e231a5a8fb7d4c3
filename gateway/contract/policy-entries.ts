/** The section `policies` of an upstream in gateway.yaml: policies of methods, in the words of `edge.v1.Policy`. */
import { create } from '@bufbuild/protobuf'
import { DurationSchema } from '@bufbuild/protobuf/wkt'
import { z } from 'zod'
import { PolicySchema, RateLimitSchema, Retry } from '#proto/edge/v1/options_pb.js'
import { AccessLevel, type Policy, ROLES } from '#runtime/grpc/contract.ts'
import type { PolicyField } from './policy-strictness.ts'

/** Names of the access levels in gateway.yaml. */
export const ACCESS_LEVELS = {
  public: AccessLevel.PUBLIC,
  optional: AccessLevel.OPTIONAL,
  user: AccessLevel.USER,
  roles: AccessLevel.ROLES,
  internal: AccessLevel.INTERNAL,
  service: AccessLevel.SERVICE,
} as const

export type AccessName = keyof typeof ACCESS_LEVELS

/** Returns the name of an access level in gateway.yaml. @param access of a valid policy. */
export function accessName(access: AccessLevel): AccessName {
  const names = Object.keys(ACCESS_LEVELS) as AccessName[]
  return names.find(name => ACCESS_LEVELS[name] === access) as AccessName
}

/** Values of `retry` in gateway.yaml. */
export const RETRIES = { never: Retry.NEVER, always: Retry.ALWAYS } as const

/** Returns `retry` of a policy in gateway.yaml; undefined if it is not set. */
export function retryName(retry: Retry): keyof typeof RETRIES | undefined {
  if (retry === Retry.UNSPECIFIED) return undefined
  return retry === Retry.NEVER ? 'never' : 'always'
}

const rateLimitSchema = z.strictObject({
  class: z.string().optional().describe('A class of `limits`. Default: `user`, or `anonymous` without a token.'),
  cost: z.int().positive().optional().describe('Tokens charged per request. Default 1.'),
  refundOnSuccess: z.boolean().optional().describe('Refunds the cost of a 2xx response. Default false.'),
})

const entrySchema = z
  .strictObject({
    access: z
      .enum(Object.keys(ACCESS_LEVELS) as AccessName[])
      .optional()
      .describe(
        'Who may call: `public` anyone, `optional` anyone, with a valid token or none, `user` an authenticated user, `roles` a user with one of `roles`; `internal` and `service` are not exposed.',
      ),
    roles: z
      .array(z.enum(ROLES))
      .min(1)
      .optional()
      .describe('With `access: roles`: the caller must have one of these roles.'),
    timeoutMs: z.int().positive().optional().describe('Maximum duration of a call in milliseconds.'),
    successStatus: z.int().min(200).max(299).optional().describe('HTTP status of a successful call. Default 200.'),
    tolerateInvalidToken: z
      .boolean()
      .optional()
      .describe('With `access: optional`: an invalid token counts as no token. Default false.'),
    rateLimit: rateLimitSchema.optional().describe('The bucket to which a request is charged.'),
    retry: z
      .enum(['never', 'always'])
      .optional()
      .describe(
        'Whether a call is repeated after UNAVAILABLE: `never`, or `always` for an idempotent method. Default: by `idempotency_level`, then by the HTTP method.',
      ),
    override: z
      .boolean()
      .default(false)
      .describe('Allows the entry to be weaker than the policy in the contract. Default false.'),
  })
  .refine(({ access, roles }) => (access === 'roles') === (roles !== undefined), {
    path: ['roles'],
    message: 'is required with `access: roles`, and allowed only with it',
  })
  .refine(
    ({ access, tolerateInvalidToken }) => !tolerateInvalidToken || access === undefined || access === 'optional',
    {
      path: ['tolerateInvalidToken'],
      message: 'requires `access: optional`',
    },
  )

/** One policy of gateway.yaml: the fields that it sets, and whether they replace stricter ones of the contract. */
export interface PolicyEntry {
  readonly fields: Partial<Pick<Policy, PolicyField>>
  readonly override: boolean
}

const toEntry = ({
  override,
  timeoutMs,
  access,
  roles = [],
  rateLimit,
  retry,
  ...other
}: z.output<typeof entrySchema>) => {
  const { successStatus, tolerateInvalidToken } = other
  const fields: PolicyEntry['fields'] = {
    ...(access !== undefined && { access: ACCESS_LEVELS[access], roles }),
    ...(timeoutMs !== undefined && { timeout: durationOf(timeoutMs) }),
    ...(successStatus !== undefined && { successStatus }),
    ...(tolerateInvalidToken !== undefined && { tolerateInvalidToken }),
    ...(retry !== undefined && { retry: RETRIES[retry] }),
    ...(rateLimit !== undefined && { rateLimit: create(RateLimitSchema, defined(rateLimit)) }),
  }
  return { fields, override } satisfies PolicyEntry
}

function defined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as never
}

function durationOf(milliseconds: number) {
  const seconds = Math.trunc(milliseconds / 1000)
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: (milliseconds - seconds * 1000) * 1e6 })
}

/** Creates the policy of a method that has none in its contract. */
export function policyOfEntry({ fields }: PolicyEntry): Policy {
  return create(PolicySchema, fields)
}

const NAME = /^(default|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\/[A-Za-z_]\w*)?)$/

/** By `default`, `package.Service` or `package.Service/Method`. */
export const policiesSchema = z
  .record(
    z.string().regex(NAME, 'must be `default`, a service such as shop.v1.Shop, or a method such as shop.v1.Shop/Get'),
    entrySchema.transform(toEntry),
  )
  .default({})

/** The policies of an upstream in gateway.yaml, by name. */
export type PolicyEntries = z.output<typeof policiesSchema>
