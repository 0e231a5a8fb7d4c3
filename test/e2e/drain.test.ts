import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { request, signUp, whoAmI } from '../support/rest-client.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

t.test(
  'a gateway that is told to stop under load fails no request of a balancer that asks it whether it is ready',
  async t => {
    const system = await startSystem(t, { env: { DRAIN_DELAY_MS: '1000' } })
    const other = await system.startGateway()
    const { accessToken } = await signUp(system.url)

    // The balancer: it looks every 100 ms, as often as it must within the delay.
    let target = system.url
    let isOver = false
    const balancer = (async () => {
      while (!isOver) {
        const { status } = await request('GET', `${system.url}/readyz`).catch(() => ({ status: 0 }))
        target = status === 200 ? system.url : other.url
        await delay(100)
      }
    })()

    const answers = new Map<string, number>()
    const clients = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const url = target
        const what = await whoAmI(url, accessToken).then(
          ({ status }) => `${status}`,
          error => `${(error as Error).cause ?? error}`,
        )
        const key = `${url === system.url ? 'stopped' : 'other'}: ${what}`
        answers.set(key, (answers.get(key) ?? 0) + 1)
      }
    })

    const count = () => [...answers.values()].reduce((sum, one) => sum + one, 0)
    await until(
      async () => count(),
      total => total >= 100,
    )
    const how = await system.gateway.stop()
    t.equal(how, 'exit code 0')
    isOver = true
    await Promise.all([...clients, balancer])
    t.strictSame([...answers.keys()].sort(), ['other: 200', 'stopped: 200'])
    t.comment(Object.fromEntries(answers))
  },
)

t.test('a request in flight when the gateway is told to stop is answered', async t => {
  const system = await startSystem(t)
  const { accessToken } = await signUp(system.url)
  // user-svc holds the answer back until the gateway has begun to stop.
  system.userSvc.signal('SIGSTOP')
  const answer = whoAmI(system.url, accessToken)
  await delay(100)
  const stopped = system.gateway.stop()
  await system.gateway.entry(({ msg }) => msg === 'stopping')
  system.userSvc.signal('SIGCONT')
  t.equal((await answer).status, 200)
  t.equal(await stopped, 'exit code 0')
})
