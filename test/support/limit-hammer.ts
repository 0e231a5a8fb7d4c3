/**
 * A process that takes tokens from one bucket as fast as it can: `limit-hammer.ts REDIS_URL KEY TOKENS REFILL PERIOD_US MS`.
 * Prints how many it got, how often it was refused, and between which times, as JSON.
 */
import { pino } from 'pino'
import { chargeOf } from '../../gateway/edge/limits/buckets.ts'
import { createSharedBuckets } from '../../gateway/edge/limits/shared-buckets.ts'
import { bucketShape, isAdmitted } from '../../gateway/edge/limits/token-bucket.ts'

const [redisUrl = '', key = '', ...numbers] = process.argv.slice(2)
const [tokens = 0, refill = 0, periodUs = 0, ms = 0] = numbers.map(Number)
const charge = chargeOf(bucketShape(tokens, refill, periodUs), 1)

const buckets = await new Promise<ReturnType<typeof createSharedBuckets>>(resolve => {
  const opened = createSharedBuckets({
    redisUrl,
    logger: pino({ level: 'silent' }),
    decisionMs: 10_000,
    onFallback: isLocal => (isLocal ? process.exit(1) : resolve(opened)),
  })
})

const counts = { admitted: 0, refused: 0 }
const begunAt = Date.now()
const end = performance.now() + ms
const take = () => new Promise<number>(resolve => buckets.take(key, charge, resolve))
async function hammer(): Promise<void> {
  while (performance.now() < end) counts[isAdmitted(await take()) ? 'admitted' : 'refused']++
}
await Promise.all(Array.from({ length: 8 }, hammer))
const endedAt = Date.now()
await buckets.close()
console.log(JSON.stringify({ ...counts, begunAt, endedAt }))
