/** Measures whether the CPU per request grows with the number of routes, revocations and callers. */
import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { startAuthStub } from './auth-stub.ts'
import { writeContract } from './contract.ts'
import { asUsers, PRINCIPALS } from './edge.ts'
import { type BenchEnvironment, initializeRevocationStream, startHeartbeat } from './environment.ts'
import type { Request } from './load.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { type GatewayOptions, startGateway } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import { ratioRow } from './table.ts'
import { accessTokens } from './tokens.ts'

const ROUTES = 1000
const REVOKED = 100_000
const BUCKETS = 1_000_000
/** Number of callers in the case with many buckets. The token cache of the gateway holds all of them. */
const CALLERS = 5000
/** No growth, within the difference between two processes of one program. */
const MAX_RATIO = 1.1

/** Compares gateways with more routes, revocations or buckets with one that has few of each. */
export async function openGrowth(environment: BenchEnvironment): Promise<Stage> {
  const { key, contract } = environment
  const users = asUsers(accessTokens(key, PRINCIPALS))
  const callers = asUsers(accessTokens(key, CALLERS))
  const stubWithRevocations = await startAuthStub(key, REVOKED)
  const redisUrl = environment.redisUrlOf(2)
  await initializeRevocationStream(redisUrl)
  const heartbeat = await startHeartbeat(redisUrl)
  const { image } = writeContract(ROUTES)

  const variants: Variant[] = [
    { name: 'small configuration', requests: users },
    { name: 'routes', row: `growth: 10 -> ${ROUTES} routes`, options: { image }, requests: users },
    {
      name: 'revoked',
      row: `growth: 0 -> ${REVOKED} revoked`,
      options: { authSvcAddress: stubWithRevocations.address },
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
      server: await startGateway(`gateway-${variant.name}`, { ...environment.gateway, ...variant.options }),
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
        row === undefined
          ? []
          : ratioRow(outcomes, { name: row, keys: [name], against: ['small configuration'], maxRatio: MAX_RATIO }),
      ),
    stop: async () => {
      for (const { server } of started) await server.stop()
      heartbeat.stop()
      stubWithRevocations.stop()
    },
  }
}

/** A configuration of the gateway. */
interface Variant {
  readonly name: string
  /** Name of its row; undefined for the configuration that the others are compared with. */
  readonly row?: string
  readonly options?: Partial<GatewayOptions>
  readonly requests: readonly Request[]
}

/**
 * Creates the buckets that a million callers would leave in Redis. A script creates them, because signing a million
 * tokens takes a minute.
 */
async function fillBuckets(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl)
  const script = `
    for index = 1, tonumber(ARGV[2]) do
      redis.call('SET', ARGV[1] .. string.format('%012d', index), '1000000:1790000000000000:1', 'PX', '900000')
    end`
  for (let created = 0; created < BUCKETS; created += 50_000) {
    await redis.eval(script, 0, `gatehouse:limit:user:${randomUUID().slice(0, 24)}`, 50_000)
  }
  await redis.quit()
}
