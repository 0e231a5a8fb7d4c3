/** Faults between the services and PostgreSQL. Requests must succeed again within 5 s. */
import t from 'tap'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { getMe, login, request, signUp, uniqueEmail } from '../support/rest-client.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { startSystem } from '../support/test-system.ts'

/** The documented bound, 5 s, and an allowance for a busy machine. */
const RECOVERY_MS = 5000 + 5000

t.test('both services recover from half-open connections to PostgreSQL', async t => {
  const databases = await openTestDatabase(t)
  const proxy = await startFaultProxy(t, Number(new URL(databases.authUrl).port))
  const { url } = await startSystem(t, {
    databases: { ...databases, authUrl: proxy.urlOf(databases.authUrl), userUrl: proxy.urlOf(databases.userUrl) },
  })
  const email = uniqueEmail()
  const ada = await signUp(url, email)
  const send = {
    'sign-in': () => login(url, email),
    profile: () => getMe(url, ada.accessToken),
    document: () => request('POST', `${url}/v1/docs`, { token: ada.accessToken, body: { title: 'a', body: 'b' } }),
  }
  // Opens further connections of both pools.
  const all = Object.values(send)
  await Promise.all([...all, ...all, ...all].map(request => request()))
  proxy.swallowOpenConnections()
  for (const [name, attempt] of Object.entries(send)) {
    const startedAt = performance.now()
    const statuses: number[] = []
    do statuses.push((await attempt()).status)
    while (statuses.at(-1) === 503 || statuses.at(-1) === 504)
    const ms = performance.now() - startedAt
    t.comment(`${name}: ${statuses.join(', ')} after ${ms.toFixed(0)} ms (bound: 5000)`)
    t.ok([200, 201].includes(statuses.at(-1) ?? 0), name)
    t.ok(ms <= RECOVERY_MS, `${name}: ${ms.toFixed(0)} ms`)
  }
})
