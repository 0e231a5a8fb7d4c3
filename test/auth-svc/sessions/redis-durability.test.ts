import { pino } from 'pino'
import t from 'tap'
import { createRedis } from '#runtime/process/redis.ts'
import { assertDurable } from '../../../auth-svc/sessions/redis-durability.ts'
import { startTestRedis } from '../../support/test-redis.ts'

const silent = pino({ level: 'silent' })
const redis = createRedis((await startTestRedis(t)).url, silent)
t.teardown(() => redis.disconnect())

function captureLog() {
  const lines: string[] = []
  return { lines, logger: pino({}, { write: (line: string) => lines.push(line) }) }
}

async function configure(settings: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) await redis.config('SET', name, value)
}

t.test('Redis with an append-only file and without eviction is accepted', async t => {
  await configure({ appendonly: 'yes', 'maxmemory-policy': 'noeviction', save: '3600 1' })
  const { lines, logger } = captureLog()
  await assertDurable(redis, logger)
  t.same(lines, [])
})

for (const policy of ['allkeys-lru', 'volatile-ttl', 'allkeys-random']) {
  t.test(`Redis with maxmemory-policy ${policy} is rejected`, async t => {
    await configure({ appendonly: 'yes', 'maxmemory-policy': policy })
    await t.rejects(assertDurable(redis, silent), { message: /noeviction/ })
  })
}

t.test('Redis with snapshots and without an append-only file is rejected', async t => {
  await configure({ appendonly: 'no', 'maxmemory-policy': 'noeviction', save: '3600 1' })
  await t.rejects(assertDurable(redis, silent), { message: /appendonly yes/ })
})

t.test('Redis without persistence is accepted with a warning', async t => {
  await configure({ appendonly: 'no', 'maxmemory-policy': 'noeviction', save: '' })
  const { lines, logger } = captureLog()
  await assertDurable(redis, logger)
  t.equal(lines.length, 1)
  t.match(lines[0], /ends every session/)
})
