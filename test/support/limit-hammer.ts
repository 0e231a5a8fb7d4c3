/**
 * Charges one bucket as fast as possible for a given time: `limit-hammer.ts REDIS_URL KEY TOKENS REFILL PERIOD_US MS`.
 * Prints the numbers of admitted and rejected charges, and start and end time in milliseconds since the epoch, as JSON.
 */
import { pino } from 'pino'
import { createCharge } from '../../gateway/edge/limits/buckets.ts'
import { createSharedBuckets } from '../../gateway/edge/limits/shared-buckets.ts'
import { bucketShape, isAdmitted } from '../../gateway/edge/limits/token-bucket.ts'

const [redisUrl = '', key = '', ...numbers] = process.argv.slice(2)
const [tokens = 0, refill = 0, periodUs = 0, ms = 0] = numbers.map(Number)
const charge = createCharge(bucketShape(tokens, refill, periodUs), 1)

const buckets = await new Promise<ReturnType<typeof createSharedBuckets>>(resolve => {
  const opened = createSharedBuckets({
    redisUrl,
    logger: pino({ level: 'silent' }),
    timeoutMs: 10_000,
    onFallback: isLocal => (isLocal ? process.exit(1) : resolve(opened)),
  })
})

const counts = { admitted: 0, rejected: 0 }
const startedAt = Date.now()
const end = performance.now() + ms
const takeToken = () => new Promise<number>(resolve => buckets.charge(key, charge, resolve))
async function hammer(): Promise<void> {
  while (performance.now() < end) counts[isAdmitted(await takeToken()) ? 'admitted' : 'rejected']++
}
await Promise.all(Array.from({ length: 8 }, hammer))
const endedAt = Date.now()
await buckets.close()
console.log(JSON.stringify({ ...counts, startedAt, endedAt }))
