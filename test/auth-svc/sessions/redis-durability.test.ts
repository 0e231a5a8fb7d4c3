import { pino } from 'pino'
import t from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { assertDurable } from '../../../auth-svc/sessions/redis-durability.ts'
import { startTestRedis } from '../../support/test-redis.ts'
import { logger as silent } from '../silent-logger.ts'

const redis = createRedis((await startTestRedis(t)).url, silent)
t.teardown(() => redis.disconnect())

function listen() {
  const lines: string[] = []
  return { lines, logger: pino({}, { write: (line: string) => lines.push(line) }) }
}

async function configure(settings: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) await redis.config('SET', name, value)
}

t.test('an append-only file and no eviction: as it should be', async t => {
  await configure({ appendonly: 'yes', 'maxmemory-policy': 'noeviction', save: '3600 1' })
  const { lines, logger } = listen()
  await assertDurable(redis, logger)
  t.same(lines, [])
})

for (const policy of ['allkeys-lru', 'volatile-ttl', 'allkeys-random']) {
  t.test(`eviction by ${policy} is refused`, async t => {
    await configure({ appendonly: 'yes', 'maxmemory-policy': policy })
    await t.rejects(assertDurable(redis, silent), { message: /noeviction/ })
  })
}

t.test('snapshots alone are refused: a restart would bring used tokens back', async t => {
  await configure({ appendonly: 'no', 'maxmemory-policy': 'noeviction', save: '3600 1' })
  await t.rejects(assertDurable(redis, silent), { message: /appendonly yes/ })
})

t.test('nothing kept at all is said, not refused', async t => {
  await configure({ appendonly: 'no', 'maxmemory-policy': 'noeviction', save: '' })
  const { lines, logger } = listen()
  await assertDurable(redis, logger)
  t.equal(lines.length, 1)
  t.match(lines[0], /signs everybody out/)
})
