/** Whether a request costs more when there is more of everything: routes, revoked tokens, callers. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { startAuthStub } from './auth-stub.ts'
import { writeContract } from './contract.ts'
import { asUsers, PRINCIPALS } from './edge.ts'
import type { Request } from './load.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { type GatewayOptions, startGateway } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import { beginRevocationStream, type Surroundings, vouchForRevocations } from './surroundings.ts'
import { ratioRow } from './table.ts'
import { accessTokens } from './tokens.ts'

const ROUTES = 1000
const REVOKED = 100_000
const BUCKETS = 1_000_000
/** Callers who take turns where there are as many buckets: what a gateway keeps of verified tokens still holds them. */
const CALLERS = 5000
/** Flat, as far as two processes of the same program measure alike. */
const MOST = 1.1

export async function openGrowth(around: Surroundings): Promise<Stage> {
  const { key, contract } = around
  const users = asUsers(accessTokens(key, PRINCIPALS))
  const callers = asUsers(accessTokens(key, CALLERS))
  const crowdedStub = await startAuthStub(key, REVOKED)
  const redisUrl = around.redisUrlOf(2)
  await beginRevocationStream(redisUrl)
  const heartbeat = await vouchForRevocations(redisUrl)
  const { image } = writeContract(ROUTES)

  const variants: Variant[] = [
    { name: 'few of all', requests: users },
    { name: 'routes', row: `growth: 10 -> ${ROUTES} routes`, options: { image }, requests: users },
    {
      name: 'revoked',
      row: `growth: 0 -> ${REVOKED} revoked`,
      options: { authSvcAddress: crowdedStub.address },
      requests: users,
    },
    {
      name: 'buckets',
      row: `growth: ${PRINCIPALS} -> ${BUCKETS} buckets, ${CALLERS} callers`,
      options: { redisUrl },
      requests: callers,
    },
  ]
  const [, ...started] = await Promise.all([
    fillBuckets(redisUrl),
    ...variants.map(async variant => ({
      ...variant,
      server: await startGateway(`gateway-${variant.name}`, { ...around.gateway, ...variant.options }),
    })),
  ])
  return {
    cases: started.map(({ name, server, requests }) =>
      loadCase({
        name,
        server,
        requests: () => requests,
        expected: contract.json,
        warmUpSeconds: LONG_WARM_UP_SECONDS,
      }),
    ),
    rows: async outcomes =>
      variants.flatMap(({ name, row }) =>
        row === undefined ? [] : ratioRow(outcomes, { name: row, keys: [name], against: ['few of all'], most: MOST }),
      ),
    stop: async () => {
      for (const { server } of started) await server.stop()
      heartbeat.stop()
      crowdedStub.stop()
    },
  }
}

/** A gateway that has more of one thing than another. */
interface Variant {
  readonly name: string
  /** The name of its row; none for what the others are compared with. */
  readonly row?: string
  readonly options?: Partial<GatewayOptions>
  readonly requests: readonly Request[]
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
