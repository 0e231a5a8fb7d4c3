/** The process of auth-svc: settings with which it does not start, and its shutdown. */
import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { type Child, startChild } from '../../deploy/dev/child.ts'
import { withClient } from '../../deploy/dev/provision.ts'
import { ANY_METRICS_PORTS, serviceCommand } from '../../deploy/dev/services.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { openTestPort } from '../support/test-port.ts'
import { startTestRedis } from '../support/test-redis.ts'

const logger = pino({ level: 'silent' })
const { authUrl } = await openTestDatabase(t)
const server = await startTestRedis(t)
const redis = createRedis(server.url, logger)
t.teardown(() => redis.disconnect())
const secret = () => randomBytes(32).toString('base64')
const secrets = { PASSWORD_PEPPER: secret(), REFRESH_TOKEN_SECRET: secret(), SIGNING_KEY_SECRET: secret() }

async function start(t: Test, changes: Record<string, string> = {}): Promise<Child> {
  const env = {
    ...process.env,
    ...ANY_METRICS_PORTS,
    DATABASE_URL: authUrl,
    REDIS_URL: server.url,
    AUTH_SVC_PORT: String(await openTestPort()),
    DRAIN_DELAY_MS: '1',
    ...secrets,
    ...changes,
  }
  const child = await startChild({ name: 'auth-svc', ...serviceCommand('auth-svc'), env })
  t.teardown(() => child.stop())
  return child
}

t.test('auth-svc starts without user-svc, and exits with code 0 on SIGTERM', async t => {
  const child = await start(t)
  await child.waitForLine(/"listening"/)
  child.signal('SIGTERM')
  t.equal(await child.exited, 'exit code 0')
})

t.test('auth-svc exits with code 0 on SIGTERM while Redis is unavailable', async t => {
  const child = await start(t)
  await child.waitForLine(/"listening"/)
  await server.kill()
  await child.waitForLine(/Redis is unreachable/)
  child.signal('SIGTERM')
  t.equal(await child.exited, 'exit code 0')
  await server.restart()
})

// A pepper may change until an account has a password.
t.before(() =>
  withClient(authUrl, client =>
    client.query(`
      insert into auth.accounts (user_id, email, password_hash, password_scheme, role, status)
      values (gen_random_uuid(), 'ada@example.com', 'x', 'x', 'user', 'active')`),
  ),
)

const INVALID_SETTINGS: [description: string, changes: Record<string, string>, message: RegExp][] = [
  ['another SIGNING_KEY_SECRET than that of the stored keys', { SIGNING_KEY_SECRET: secret() }, /SIGNING_KEY_SECRET/],
  [
    'another PASSWORD_PEPPER than that of the stored passwords',
    { PASSWORD_PEPPER: secret() },
    /PASSWORD_PEPPER: has the id \w{8}, but/,
  ],
  ['a PASSWORD_PEPPER that is too short', { PASSWORD_PEPPER: 'c2hvcnQ=' }, /PASSWORD_PEPPER/],
  ['ADMIN_EMAIL without ADMIN_PASSWORD', { ADMIN_EMAIL: 'root@example.com' }, /ADMIN_EMAIL and ADMIN_PASSWORD/],
  ['a weak ADMIN_PASSWORD', { ADMIN_EMAIL: 'root@example.com', ADMIN_PASSWORD: 'password1234' }, /too easy to guess/],
]
for (const [description, changes, message] of INVALID_SETTINGS) {
  t.test(`auth-svc does not start with ${description}, and logs the reason`, async t => {
    const child = await start(t, changes)
    t.equal(await child.exited, 'exit code 1')
    const output = child.lastLines.join('\n')
    t.match(output, message)
    t.notOk(output.includes('password1234'), 'the password is not logged')
  })
}

t.test('auth-svc does not start if Redis evicts keys', async t => {
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const child = await start(t)
  t.equal(await child.exited, 'exit code 1')
  t.match(child.lastLines.join('\n'), /noeviction/)
})
