/** The section `limits` of gateway.yaml: rate-limit classes by name, and overrides of the contract by method. */
import { z } from 'zod'
import { type BucketShape, bucketShape } from './token-bucket.ts'

export type LimitClass = BucketShape | 'unlimited'

/** The classes of methods whose policy names none. */
export const DEFAULT_CLASSES = { authenticated: 'user', anonymous: 'anonymous' } as const

/** The class of requests that are for no method of the contract. gateway.yaml may define it. */
export const OTHER_CLASS = 'other'

/** Wide, because the pages of an office share an address, and each sends preflight requests. */
export const DEFAULT_OTHER_BUCKET = bucketShape(1000, 100, 1e6)

const MICROSECONDS: Record<string, number> = { ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 }
const REFILL = /^([1-9]\d{0,8}) *\/ *([1-9]\d{0,8})? *(ms|s|m|h)$/

/** `10 / 1s`: ten tokens per second, added continuously. */
const refillSchema = z.string().transform((text, context) => {
  const [, tokens, periods = '1', unit = ''] = REFILL.exec(text) ?? []
  if (tokens !== undefined) return { tokens: Number(tokens), periodUs: Number(periods) * (MICROSECONDS[unit] ?? 0) }
  context.addIssue('must be tokens per interval, such as 10 / 1s or 5 / 15m')
  return z.NEVER
})

const bucketSchema = z
  .strictObject({
    capacity: z.int().positive().max(1_000_000_000).describe('Maximum number of tokens.'),
    refill: refillSchema.describe('Tokens added per time, such as 10 / 1s or 5 / 15m.'),
  })
  .transform(({ capacity, refill }, context) => {
    try {
      return bucketShape(capacity, refill.tokens, refill.periodUs)
    } catch (error) {
      context.addIssue((error as RangeError).message)
      return z.NEVER
    }
  })

// Not a union: its error would not name the invalid field of a bucket.
const classValue = z.unknown().meta({
  anyOf: [{ const: 'unlimited' }, z.toJSONSchema(bucketSchema, { io: 'input' })],
})
const classSchema = classValue.transform((value, context): LimitClass => {
  if (value === 'unlimited') return value
  const result = bucketSchema.safeParse(value)
  if (result.success) return result.data
  for (const { path, message } of result.error.issues) context.addIssue({ code: 'custom', path, message })
  return z.NEVER
})

// The name becomes part of a structured header field and of Redis keys.
const className = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,31}$/, 'must be 1 to 32 lower-case letters, digits, dashes or underscores')

/** The classes of a gateway.yaml without `limits`. */
const DEFAULT_LIMITS = {
  [DEFAULT_CLASSES.authenticated]: { capacity: 100, refill: '10 / 1s' },
  [DEFAULT_CLASSES.anonymous]: { capacity: 100, refill: '100 / 15m' },
}

const sectionSchema = z.strictObject({
  classes: z
    .record(className, classSchema)
    .refine(
      classes => Object.values(DEFAULT_CLASSES).every(name => name in classes),
      'must define the classes user and anonymous',
    )
    .describe(
      'Rate-limit classes. Each caller has one token bucket per class; `unlimited` is a class without a limit.',
    ),
  methods: z
    .record(
      z.string(),
      z.strictObject({
        class: z.string().optional(),
        cost: z.int().positive().optional(),
        refundOnSuccess: z.boolean().optional(),
      }),
    )
    .default({})
    .describe('By `package.Service/Method`. Each field overrides `rate_limit` of the policy of the method.'),
})

export const limitsSchema = sectionSchema.prefault({ classes: DEFAULT_LIMITS })

export type LimitSettings = z.output<typeof limitsSchema>
