/** The part `limits` of gateway.yaml: the classes by name, and methods whose contract does not say which is theirs. */
import { z } from 'zod'
import { type BucketShape, bucketShape } from './token-bucket.ts'

/** A class's bucket, or no limit at all. */
export type LimitClass = BucketShape | 'unlimited'

/** Of who is signed in, and of who is not, where a method names no class. */
export const DEFAULT_CLASSES = { signedIn: 'user', anonymous: 'anonymous' } as const

const MICROSECONDS: Record<string, number> = { ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 }
const REFILL = /^([1-9]\d{0,8}) *\/ *([1-9]\d{0,8})? *(ms|s|m|h)$/

/** `10 / 1s`: ten tokens come back in a second, one by one. */
const refillSchema = z.string().transform((text, context) => {
  const [, tokens, periods = '1', unit = ''] = REFILL.exec(text) ?? []
  if (tokens !== undefined) return { tokens: Number(tokens), periodUs: Number(periods) * (MICROSECONDS[unit] ?? 0) }
  context.addIssue('takes tokens a time, such as 10 / 1s or 5 / 15m')
  return z.NEVER
})

const bucketSchema = z
  .strictObject({ capacity: z.int().positive().max(1_000_000_000), refill: refillSchema })
  .transform(({ capacity, refill }, context) => {
    try {
      return bucketShape(capacity, refill.tokens, refill.periodUs)
    } catch (error) {
      context.addIssue((error as RangeError).message)
      return z.NEVER
    }
  })

// Not a union of both: its complaint would not say what is wrong with a bucket.
const classSchema = z.unknown().transform((value, context): LimitClass => {
  if (value === 'unlimited') return value
  const result = bucketSchema.safeParse(value)
  if (result.success) return result.data
  for (const { path, message } of result.error.issues) context.addIssue({ code: 'custom', path, message })
  return z.NEVER
})

// A structured-field string and part of a Redis key.
const className = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'takes lower-case letters, digits, dashes')

export const limitsSchema = z.strictObject({
  classes: z
    .record(className, classSchema)
    .refine(
      classes => Object.values(DEFAULT_CLASSES).every(name => name in classes),
      'must have the classes user and anonymous',
    ),
  /** By `package.Service/Method`; what is given here stands in place of what the contract says. */
  methods: z
    .record(
      z.string(),
      z.strictObject({
        class: z.string().optional(),
        cost: z.int().positive().optional(),
        refundOnSuccess: z.boolean().optional(),
      }),
    )
    .default({}),
})

export type LimitSettings = z.output<typeof limitsSchema>
