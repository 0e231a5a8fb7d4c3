import t from 'tap'
import { AccessLevel, type Policy } from '#runtime/grpc/contract.ts'
import type { AuthServiceConnection } from '../../gateway/auth-service.ts'
import { createHealthChecks } from '../../gateway/health-checks.ts'
import type { Upstream } from '../../gateway/upstream/upstreams.ts'

/** A connection to auth-svc that has loaded nothing yet. */
const connection = {
  keys: { isLoaded: false, refresh: async () => Promise.reject(new Error('unreachable')) },
  follower: { isStale: () => true },
} as unknown as AuthServiceConnection

const requiredChecks = (...levels: AccessLevel[]) =>
  createHealthChecks(
    connection,
    [],
    levels.map(access => ({ policy: { access } as Policy })),
  ).filter(({ isRequired }) => isRequired)

t.test('keys and revocations are required if a route verifies tokens', async t => {
  for (const access of [AccessLevel.OPTIONAL, AccessLevel.USER]) {
    const checks = requiredChecks(AccessLevel.PUBLIC, access)
    t.same(
      checks.map(({ name }) => name),
      ['keys of auth-svc', 'revocations'],
    )
    for (const check of checks) t.type(await check.problem(), 'string')
  }
})

t.test('an upstream is not required', async t => {
  const upstream = { config: { name: 'shop' }, transport: { isServing: async () => false } } as unknown as Upstream
  const checks = createHealthChecks(connection, [upstream], [])
  const found = checks.find(({ name }) => name === 'upstream shop')
  t.equal(found?.isRequired, false)
  t.match(await found?.problem(), 'not serving')
})

t.test('a gateway whose routes are all public needs neither keys nor revocations', async t => {
  t.same(requiredChecks(AccessLevel.PUBLIC), [])
})
