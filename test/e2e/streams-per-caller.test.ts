/** Clients that open streams and do not read them must not delay others, nor hold database connections. */
import { once } from 'node:events'
import http from 'node:http'
import t, { type Test } from 'tap'
import { withClient } from '../../deploy/dev/provision.ts'
import { type SignedIn, signUp } from '../support/rest-client.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import type { TestProcess } from '../support/test-process.ts'
import { startSystem, type TestSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

/** Starts the system, with a user whose export has 16 MB: no buffer on the way holds it. */
async function startWithLargeExport(t: Test, env: Record<string, string> = {}) {
  const system = await startSystem(t, { env })
  const ada = await signUp(system.url)
  await withClient(system.databases.adminUrl, client =>
    client.query(
      `insert into users.documents_all (owner_id, title, body)
       select $1, 'Plan ' || number, repeat('x', 4000) from generate_series(1, 4000) as number`,
      [ada.user.id],
    ),
  )
  return { system, ada }
}

/** Starts an export and reads nothing of the body. Resolves with the response head. */
async function openUnread(t: Test, { url }: TestSystem, { accessToken }: SignedIn): Promise<http.IncomingMessage> {
  const headers = { authorization: `Bearer ${accessToken}` }
  const sent = http.get(`${url}/v1/users/me/export`, { headers, agent: false })
  t.teardown(() => sent.destroy())
  const [response] = (await once(sent, 'response')) as [http.IncomingMessage]
  response.on('error', () => {})
  return response
}

/** Reads a complete export. `body` is the problem document of an error. */
async function exportOf({ url }: TestSystem, { accessToken }: SignedIn) {
  const response = await fetch(`${url}/v1/users/me/export`, { headers: { authorization: `Bearer ${accessToken}` } })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: response.ok ? undefined : JSON.parse(text) }
}

t.test('a caller has at most four streams at once; the next is 429 until one ends', async t => {
  const { system, ada } = await startWithLargeExport(t)
  const grace = await signUp(system.url)
  const opened = []
  for (let count = 0; count < 4; count++) opened.push(await openUnread(t, system, ada))
  t.same(
    opened.map(({ statusCode }) => statusCode),
    [200, 200, 200, 200],
  )
  const refused = await exportOf(system, ada)
  t.match(refused, { status: 429, body: { code: 'too_many_streams', status: 429 } })
  t.match(refused.headers.get('retry-after'), /^\d+$/)
  t.equal((await exportOf(system, grace)).status, 200, 'other callers are not affected')

  opened[0]?.destroy()
  await until(
    async () => (await openUnread(t, system, ada)).statusCode,
    status => status === 200,
  )
})

t.test('while a caller starts 100 exports and reads none, the export of another takes less than 5 s', async t => {
  const { system, ada } = await startWithLargeExport(t)
  const grace = await signUp(system.url)
  const statuses = Promise.all(
    Array.from({ length: 100 }, async () => {
      const response = await openUnread(t, system, ada)
      if (response.statusCode !== 200) response.resume()
      return response.statusCode
    }),
  )
  // Without the limit one of them took 15 s.
  const durations: number[] = []
  for (let count = 0; count < 5; count++) {
    const startedAt = performance.now()
    t.equal((await exportOf(system, grace)).status, 200)
    durations.push(Math.round(performance.now() - startedAt))
  }
  t.comment(`exports took ${durations.join(', ')} ms`)
  t.ok(Math.max(...durations) < 5000, `${durations}`)
  t.equal((await statuses).filter(status => status === 200).length, 4)
})

/** Unread streams of one caller. One alone can use up a flow-control window; more cost only time in this test. */
const UNREAD = 25

t.test('unread streams neither delay another stream nor hold database connections', async t => {
  const { system, ada } = await startWithLargeExport(t, {
    STREAMS_PER_CALLER: String(UNREAD),
    // Logs every statement as slow, so that the test can count statements.
    DATABASE_SLOW_MS: '0.001',
  })
  const grace = await signUp(system.url)
  const opened = await Promise.all(Array.from({ length: UNREAD }, () => openUnread(t, system, ada)))
  t.ok(opened.every(({ statusCode }) => statusCode === 200))
  t.equal((await exportOf(system, ada)).status, 429)
  await untilPaused(system)
  t.equal(await gauge(system.gateway, 'upstream_streams_open'), UNREAD, 'no buffer holds a whole export')
  t.equal(await gauge(system.userSvc, 'db_pool_waiting'), 0)
  t.equal(
    await gauge(system.userSvc, 'db_pool_idle_connections'),
    await gauge(system.userSvc, 'db_pool_connections'),
    'no stream holds a database connection',
  )
  const startedAt = performance.now()
  t.equal((await exportOf(system, grace)).status, 200)
  const ms = performance.now() - startedAt
  t.comment(`an export took ${ms.toFixed(0)} ms beside ${UNREAD} unread ones`)
  t.ok(ms < 2000, `${ms.toFixed(0)} ms`)
})

async function gauge(process: TestProcess, name: string): Promise<number> {
  return samplesOf(await scrape(process), name)[0]?.value ?? Number.NaN
}

/** Waits until user-svc has read no documents for a second: the buffers on the way to the clients are full. */
async function untilPaused({ userSvc }: TestSystem): Promise<void> {
  let before = -1
  const count = () =>
    userSvc.entries.filter(
      ({ msg, statement }) => msg === 'slow statement' && /from "documents_all".*limit/.test(String(statement)),
    ).length
  await until(
    async () => {
      const added = count() - before
      before = count()
      return added
    },
    added => added === 0,
    { everyMs: 1000, timeoutMs: 120_000 },
  )
}
