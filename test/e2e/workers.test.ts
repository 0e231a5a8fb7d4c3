import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { getMe, signUp } from '../support/rest-client.ts'
import { requestsInFlight, samplesOf, scrape } from '../support/scrape.ts'
import type { LogEntry, TestProcess } from '../support/test-process.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

// With this drain delay, each kept-alive connection is used, and its client receives Connection: close, before idle
// connections are closed.
t.setTimeout(300_000)
const system = await startSystem(t, { env: { GATEWAY_WORKERS: '2', DRAIN_DELAY_MS: '1000' } })
const { gateway } = system
await gateway.entry(({ msg }) => msg === 'all workers listening')
const { accessToken } = await signUp(system.url)

const isListening = ({ msg }: LogEntry) => msg === 'gateway listening'

/** The pids of the workers that have listened, in the order in which they started to. */
function workerPids(process: TestProcess): unknown[] {
  return process.entries.filter(isListening).map(({ pid }) => pid)
}

type SendRequest = (gateway: string, token: string) => Promise<{ status: number | undefined }>

/** Sends a request on a new connection. It is sent 20 ms after the connection is open, as with network latency. */
async function getMeOnNewConnection(gateway: string, token: string): Promise<{ status: number | undefined }> {
  const socket = connect(Number(new URL(gateway).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {})
  await delay(20)
  if (socket.destroyed) throw new Error('the gateway closed the connection before the request')
  const sent = get(`${gateway}/v1/users/me`, {
    createConnection: () => socket,
    headers: { authorization: `Bearer ${token}`, connection: 'close' },
  })
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  await once(response.resume(), 'end')
  return { status: response.statusCode }
}

/** Runs `action` while eight clients send requests without a pause. Returns the results, counted by status or error. */
async function underLoad(action: () => Promise<unknown>, send: SendRequest = getMe): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  let isOver = false
  const clients = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const result = await send(system.url, accessToken).then(
        ({ status }) => `${status}`,
        error => `${(error as Error).cause ?? error}`,
      )
      counts[result] = (counts[result] ?? 0) + 1
    }
  })
  await action()
  isOver = true
  await Promise.all(clients)
  return counts
}

t.test('both workers serve requests on the port, and the primary serves none', async t => {
  const pids = workerPids(gateway)
  t.equal(new Set(pids).size, 2)
  t.notOk(pids.includes(gateway.pid))
  const servingPids = () =>
    new Set<unknown>(gateway.entries.filter(({ msg }) => msg === 'request').map(({ pid }) => pid))
  await underLoad(() =>
    until(
      async () => servingPids().size,
      size => size === 2,
    ),
  )
  t.same([...servingPids()].sort(), [...pids].sort())
})

/** A response of `/readyz` other than 200, or the error of the connection. */
type NotReady = { status: number | undefined } | { error: string }

/** Requests `/readyz` on a new connection, so that any worker that accepts connections may respond. */
async function probeReadiness(): Promise<NotReady | undefined> {
  try {
    const [response] = (await once(get(`${system.url}/readyz`, { agent: false }), 'response')) as [IncomingMessage]
    await once(response.resume(), 'end')
    return response.statusCode === 200 ? undefined : { status: response.statusCode }
  } catch (error) {
    return { error: String(error) }
  }
}

/** Runs a rolling restart. Returns each response of `/readyz` other than 200 meanwhile. */
async function roll(): Promise<NotReady[]> {
  const startedAt = new Date().toISOString()
  const failures: NotReady[] = []
  let isCompleted = false
  const completed = gateway
    .entry(({ msg, time }) => msg === 'rolling restart completed' && String(time) >= startedAt)
    .finally(() => {
      isCompleted = true
    })
  gateway.signal('SIGHUP')
  while (!isCompleted) {
    const failure = await probeReadiness()
    if (failure !== undefined) failures.push(failure)
    await delay(20)
  }
  await completed
  return failures
}

t.test('/readyz of every worker returns 200 throughout a rolling restart', async t => {
  t.same(await roll(), [])
})

for (const [connections, send] of [
  ['on kept-alive connections', getMe],
  ['on a new connection each', getMeOnNewConnection],
] as const) {
  t.test(`SIGHUP replaces each worker and fails no request ${connections}`, async t => {
    const before = workerPids(gateway).slice(-2)
    let notReady: NotReady[] = []
    const counts = await underLoad(async () => {
      notReady = await roll()
    }, send)
    t.same(Object.keys(counts), ['200'])
    t.same(notReady, [], '/readyz returns 200 during the rolling restart')
    const after = workerPids(gateway).slice(-2)
    t.equal(new Set([...before, ...after]).size, 4)
    t.comment(counts)
  })
}

t.test('a worker that is killed is replaced', async t => {
  const [victim] = workerPids(gateway).slice(-1)
  const before = workerPids(gateway).length
  const exited = gateway.entry(({ msg }) => msg === 'worker exited unexpectedly; replacing it')
  process.kill(Number(victim), 'SIGKILL')
  t.match(await exited, { worker: victim, exit: 'SIGKILL' })
  await until(
    async () => workerPids(gateway).length,
    count => count === before + 1,
  )
  t.equal((await getMe(system.url, accessToken)).status, 200)
})

t.test('/metrics sums the counters of all workers, and a rolling restart does not decrease them', async t => {
  const samples = async () =>
    samplesOf(await scrape(gateway), 'http_requests_total', { route: '/v1/users/me', status_code: '200' })
  const sum = async () => (await samples()).reduce((total, { value }) => total + value, 0)
  const before = await sum()
  t.equal((await samples()).length, 1, 'one time series for all workers')
  for (let request = 0; request < 10; request++) await getMe(system.url, accessToken)
  await until(sum, total => total === before + 10)
  await roll()
  t.equal(await sum(), before + 10)
})

t.test('SIGTERM ends all workers after the requests in flight have got their responses', async t => {
  system.userSvc.signal('SIGSTOP')
  const response = getMe(system.url, accessToken)
  await until(
    () => requestsInFlight(gateway),
    count => count === 1,
  )
  const stopped = gateway.stop()
  await gateway.entry(({ msg, reason }) => msg === 'shutting down' && reason === 'gateway stops')
  system.userSvc.signal('SIGCONT')
  t.equal((await response).status, 200)
  t.equal(await stopped, 'exit code 0')
  for (const pid of workerPids(gateway)) t.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' })
})
