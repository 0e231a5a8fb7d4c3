/** The fields of an upstream in gateway.yaml that say how its failures are handled. */
import { z } from 'zod'

const retriesSchema = z.strictObject({
  maxAttempts: z.int().min(1).max(3).default(3).describe('Attempts of a call, with the first one: 1 to 3. Default 3.'),
  initialBackoffMs: z
    .int()
    .min(1)
    .max(60_000)
    .default(50)
    .describe(
      'Maximum delay before the first retry, in milliseconds; the delay is random. It doubles with each retry.',
    ),
  maxBackoffMs: z.int().min(1).max(60_000).default(500).describe('Maximum delay before a retry, in milliseconds.'),
  maxTokens: z
    .number()
    .positive()
    .max(1000)
    .default(200)
    .describe('Capacity of the retry budget. A process makes at most half of it as retries at once.'),
  tokenRatio: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.2)
    .describe('Retries per successful call that the budget allows in the long run.'),
})

const ejectionSchema = z.strictObject({
  consecutiveFailures: z
    .int()
    .min(1)
    .default(5)
    .describe('Failed calls in a row after which an address gets no calls for a time.'),
  baseMs: z
    .int()
    .min(1)
    .default(5000)
    .describe('Time of the first ejection in milliseconds. The second one is twice as long, and so on.'),
  maxMs: z.int().min(1).default(300_000).describe('Maximum time of an ejection, in milliseconds.'),
})

const circuitBreakerSchema = z
  .strictObject({
    maxCalls: z.int().min(1).default(1024).describe('Maximum number of calls in progress.'),
    maxStreams: z.int().min(1).default(1024).describe('Maximum number of open server streams.'),
  })
  .prefault({})

const canarySchema = z.strictObject({
  address: z.string().min(1).describe('gRPC target of the canary, as `address`.'),
  percent: z.number().min(0).max(100).describe('Share of callers whose calls go to the canary, 0 to 100.'),
})

/** The fields of an upstream. */
export const resilienceFields = {
  retries: z
    .union([z.literal(false), retriesSchema])
    .optional()
    .describe('Retries of calls that failed with UNAVAILABLE. `false`: none. Default: {}.'),
  ejection: z
    .union([z.literal(false), ejectionSchema])
    .optional()
    .describe('Ejection of addresses whose calls fail, at most half of them. `false`: none. Default: {}.'),
  circuitBreaker: circuitBreakerSchema.describe(
    'Limits of each process. A further call is rejected with 503 `upstream_overloaded`.',
  ),
  canary: canarySchema
    .optional()
    .describe(
      'A second address, which gets the calls of a share of the callers: by principal, or by client address without one. Default: none.',
    ),
}

export type RetryConfig = z.output<typeof retriesSchema>
export type EjectionConfig = z.output<typeof ejectionSchema>

export interface ResilienceConfig {
  readonly retries: RetryConfig | undefined
  readonly ejection: EjectionConfig | undefined
}

/** Returns the settings in effect; undefined for what is off. */
export function resilienceOf(config: {
  retries?: RetryConfig | false | undefined
  ejection?: EjectionConfig | false | undefined
}): ResilienceConfig {
  const { retries = retriesSchema.parse({}), ejection = ejectionSchema.parse({}) } = config
  return { retries: retries || undefined, ejection: ejection || undefined }
}
