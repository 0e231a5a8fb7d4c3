/** Whether a request costs more when there is more of everything: routes, revoked tokens, callers. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { startAuthStub } from './auth-stub.ts'
import { writeContract } from './contract.ts'
import { asUsers } from './edge.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { startGateway } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import { beginRevocationStream, type Surroundings } from './surroundings.ts'
import { ratioRow } from './table.ts'
import { accessTokens } from './tokens.ts'

const ROUTES = 1000
const REVOKED = 100_000
const BUCKETS = 1_000_000
/** Callers who take turns where there are as many buckets: what a gateway keeps of verified tokens still holds them. */
const CALLERS = 5000
/** Flat, as far as two processes of the same program measure alike. */
const MOST = 1.1

/** All of it at once: where that costs nothing, none of it does. */
export async function openGrowth(around: Surroundings): Promise<Stage> {
  const { key, contract } = around
  const crowdedStub = await startAuthStub(key, REVOKED)
  const redisUrl = around.redisUrlOf(2)
  await beginRevocationStream(redisUrl)
  await fillBuckets(redisUrl)
  const grown = await startGateway('gateway-grown', {
    ...around.gateway,
    image: writeContract(ROUTES).image,
    authSvcAddress: crowdedStub.address,
    redisUrl,
  })
  const callers = asUsers(accessTokens(key, CALLERS))
  return {
    cases: [
      loadCase({
        name: 'grown',
        server: grown,
        requests: () => callers,
        expected: contract.json,
        warmUpSeconds: LONG_WARM_UP_SECONDS,
      }),
    ],
    rows: outcomes => [
      ratioRow(outcomes, {
        name: `growth: 10 -> ${ROUTES} routes, 0 -> ${REVOKED} revoked, 100 -> ${BUCKETS} buckets and ${CALLERS} callers`,
        key: 'grown',
        against: 'tracing off',
        label: 'without',
        most: MOST,
      }),
    ],
    stop: async () => {
      await grown.stop()
      crowdedStub.stop()
    },
  }
}

/**
 * As many buckets as callers would leave behind. They are made in Redis: a million tokens would take a minute to sign,
 * and no gateway meets so many callers in the time that it keeps a verified token.
 */
async function fillBuckets(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  const script = `
    for index = 1, tonumber(ARGV[2]) do
      redis.call('SET', ARGV[1] .. string.format('%012d', index), '1000000:1790000000000000:1', 'PX', '900000')
    end`
  for (let made = 0; made < BUCKETS; made += 50_000) {
    await redis.eval(script, 0, `gatehouse:limit:user:${randomUUID().slice(0, 24)}`, 50_000)
  }
  await redis.quit()
}
