/** auth-svc as a process: what it refuses to start with, and how it ends. */
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { type Child, startChild } from '../../deploy/dev/child.ts'
import { ANY_METRICS_PORTS, serviceCommand } from '../../deploy/dev/services.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { openTestPort } from '../support/test-port.ts'
import { startTestRedis } from '../support/test-redis.ts'
import { logger } from './silent-logger.ts'

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

t.test('it listens without user-svc, and SIGTERM ends it in order', async t => {
  const child = await start(t)
  await child.line(/"listening"/)
  child.signal('SIGTERM')
  t.equal(await child.exited, 'exit code 0')
})

t.test('SIGTERM ends it in order also when Redis is gone', async t => {
  const child = await start(t)
  await child.line(/"listening"/)
  await server.kill()
  await child.line(/redis is not reachable/)
  child.signal('SIGTERM')
  t.equal(await child.exited, 'exit code 0')
  await server.restart()
})

const REFUSED: [what: string, changes: Record<string, string>, says: RegExp][] = [
  ['another secret than the keys were stored with', { SIGNING_KEY_SECRET: secret() }, /SIGNING_KEY_SECRET/],
  ['a secret that is too short', { PASSWORD_PEPPER: 'c2hvcnQ=' }, /PASSWORD_PEPPER/],
  ['half an administrator', { ADMIN_EMAIL: 'root@example.com' }, /ADMIN_EMAIL and ADMIN_PASSWORD/],
  [
    'an administrator whose password is easy to guess',
    { ADMIN_EMAIL: 'root@example.com', ADMIN_PASSWORD: 'password1234' },
    /too easy to guess/,
  ],
]
for (const [what, changes, says] of REFUSED) {
  t.test(`it does not start with ${what}, and says so`, async t => {
    const child = await start(t, changes)
    t.equal(await child.exited, 'exit code 1')
    const output = child.lastLines.join('\n')
    t.match(output, says)
    t.notOk(output.includes('password1234'), 'the password is not told')
  })
}

t.test('it does not start on a Redis that evicts', async t => {
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
  const child = await start(t)
  t.equal(await child.exited, 'exit code 1')
  t.match(child.lastLines.join('\n'), /noeviction/)
})
