import t from 'tap'
import type { AuthServiceConnection } from '../../gateway/auth-service.ts'
import { createHealthChecks } from '../../gateway/health-checks.ts'

/** A connection to auth-svc that has loaded nothing yet. */
const connection = {
  keys: { isLoaded: false, refresh: async () => Promise.reject(new Error('unreachable')) },
  follower: { isStale: () => true },
} as unknown as AuthServiceConnection

t.test('keys and revocations are required if a route verifies tokens', async t => {
  const checks = createHealthChecks(connection, []).filter(({ isRequired }) => isRequired)
  t.same(
    checks.map(({ name }) => name),
    ['keys of auth-svc', 'revocations'],
  )
  for (const check of checks) t.type(await check.problem(), 'string')
})

t.test('a gateway whose routes are all public needs neither keys nor revocations, and no upstream', async t => {
  const checks = createHealthChecks(undefined, [{ name: 'shop', transport: { isServing: async () => false } }])
  t.match(checks, [{ name: 'upstream shop', isRequired: false }])
  t.match(await checks[0]?.problem(), 'not serving')
})
