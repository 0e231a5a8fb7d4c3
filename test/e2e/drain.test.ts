import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { getMe, request, signUp } from '../support/rest-client.ts'
import { requestsInFlight } from '../support/scrape.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

t.test('a gateway that stops under load fails no request behind a load balancer that polls /readyz', async t => {
  const system = await startSystem(t, { env: { DRAIN_DELAY_MS: '1000' } })
  const other = await system.startGateway()
  const { accessToken } = await signUp(system.url)

  // The load balancer polls every 100 ms, ten times within the drain delay.
  let target = system.url
  let isOver = false
  const balancer = (async () => {
    while (!isOver) {
      const { status } = await request('GET', `${system.url}/readyz`).catch(() => ({ status: 0 }))
      target = status === 200 ? system.url : other.url
      await delay(100)
    }
  })()

  const counts = new Map<string, number>()
  const clients = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const url = target
      const result = await getMe(url, accessToken).then(
        ({ status }) => `${status}`,
        error => `${(error as Error).cause ?? error}`,
      )
      const key = `${url === system.url ? 'stopped' : 'other'}: ${result}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  })

  await until(
    async () => [...counts.values()].reduce((sum, count) => sum + count, 0),
    total => total >= 100,
  )
  const exit = await system.gateway.stop()
  t.equal(exit, 'exit code 0')
  isOver = true
  await Promise.all([...clients, balancer])
  t.strictSame([...counts.keys()].sort(), ['other: 200', 'stopped: 200'])
  t.comment(Object.fromEntries(counts))
})

t.test('a request in flight when the gateway stops gets its response', async t => {
  const system = await startSystem(t)
  const { accessToken } = await signUp(system.url)
  // user-svc is suspended until the drain has started.
  system.userSvc.signal('SIGSTOP')
  const response = getMe(system.url, accessToken)
  await until(
    () => requestsInFlight(system.gateway),
    count => count === 1,
  )
  const stopped = system.gateway.stop()
  await system.gateway.entry(({ msg }) => msg === 'shutting down')
  system.userSvc.signal('SIGCONT')
  t.equal((await response).status, 200)
  t.equal(await stopped, 'exit code 0')
})
