import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { request, signUp, whoAmI } from '../support/rest-client.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import type { LogEntry, TestProcess } from '../support/test-process.ts'
import { startSystem } from '../support/test-system.ts'
import { until } from '../support/until.ts'

// Long enough for each connection to be used, and told to close, before those that are idle are closed.
const system = await startSystem(t, { env: { GATEWAY_WORKERS: '2', DRAIN_DELAY_MS: '1000' } })
const { gateway } = system
await gateway.entry(({ msg }) => msg === 'the workers are listening')
const { accessToken } = await signUp(system.url)

const isListening = ({ msg }: LogEntry) => msg === 'the gateway is listening'

/** The workers that have listened, the latest last. */
function workerPids(process: TestProcess): unknown[] {
  return process.entries.filter(isListening).map(({ pid }) => pid)
}

type Ask = (gateway: string, token: string) => Promise<{ status: number | undefined }>

/** Over a connection of its own, which is open for a moment before the request comes, as over a network. */
async function whoAmIOnce(gateway: string, token: string): Promise<{ status: number | undefined }> {
  const socket = connect(Number(new URL(gateway).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.on('error', () => {})
  await delay(20)
  if (socket.destroyed) throw new Error('the connection was closed before its request')
  const asked = get(`${gateway}/v1/users/me`, {
    createConnection: () => socket,
    headers: { authorization: `Bearer ${token}`, connection: 'close' },
  })
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  await once(answer.resume(), 'end')
  return { status: answer.statusCode }
}

/** Clients that ask without a pause while `during` runs. @returns how many answers there were of each kind. */
async function underLoad(during: () => Promise<unknown>, ask: Ask = whoAmI): Promise<Record<string, number>> {
  const answers: Record<string, number> = {}
  let isOver = false
  const clients = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const what = await ask(system.url, accessToken).then(
        ({ status }) => `${status}`,
        error => `${(error as Error).cause ?? error}`,
      )
      answers[what] = (answers[what] ?? 0) + 1
    }
  })
  await during()
  isOver = true
  await Promise.all(clients)
  return answers
}

t.test('both workers serve the one port, and neither is the process that hands out connections', async t => {
  const pids = workerPids(gateway)
  t.equal(new Set(pids).size, 2)
  t.notOk(pids.includes(gateway.pid))
  const served = () =>
    new Set(gateway.entries.filter(({ msg }) => msg === 'request').map(({ pid }) => pid)) as Set<unknown>
  await underLoad(() =>
    until(
      async () => served().size,
      size => size === 2,
    ),
  )
  t.same([...served()].sort(), [...pids].sort())
})

/** Has the gateway roll its workers. @returns how often it said meanwhile that it is not ready. */
async function roll(): Promise<number> {
  const asOf = new Date().toISOString()
  let unready = 0
  let isRolled = false
  const rolled = gateway
    .entry(({ msg, time }) => msg === 'rolled the workers' && String(time) >= asOf)
    .finally(() => {
      isRolled = true
    })
  gateway.signal('SIGHUP')
  while (!isRolled) {
    if ((await request('GET', `${system.url}/readyz`)).status !== 200) unready++
    await delay(20)
  }
  await rolled
  return unready
}

for (const [clients, ask] of [
  ['that keep their connections', whoAmI],
  ['with a connection for each request', whoAmIOnce],
] as const) {
  t.test(`SIGHUP replaces each worker, and no request of clients ${clients} fails`, async t => {
    const before = workerPids(gateway).slice(-2)
    let unready = 0
    const answers = await underLoad(async () => {
      unready = await roll()
    }, ask)
    t.same(Object.keys(answers), ['200'])
    t.equal(unready, 0, 'it is ready all the while')
    const after = workerPids(gateway).slice(-2)
    t.equal(new Set([...before, ...after]).size, 4)
    t.comment(answers)
  })
}

t.test('a worker that dies is replaced', async t => {
  const [victim] = workerPids(gateway).slice(-1)
  const before = workerPids(gateway).length
  const died = gateway.entry(({ msg }) => msg === 'a worker died')
  process.kill(Number(victim), 'SIGKILL')
  t.match(await died, { worker: victim, how: 'SIGKILL' })
  await until(
    async () => workerPids(gateway).length,
    count => count === before + 1,
  )
  t.equal((await whoAmI(system.url, accessToken)).status, 200)
})

t.test('the metrics are those of all workers, and what one counted stays counted when it goes', async t => {
  const counted = async () =>
    samplesOf(await scrape(gateway), 'http_requests_total', { route: '/v1/users/me', status_code: '200' })
  const sum = async () => (await counted()).reduce((all, { value }) => all + value, 0)
  const before = await sum()
  t.equal((await counted()).length, 1, 'one series for all workers')
  for (let request = 0; request < 10; request++) await whoAmI(system.url, accessToken)
  await until(sum, all => all === before + 10)
  await roll()
  t.equal(await sum(), before + 10)
})

t.test('told to stop it answers what is in flight, and ends all its workers', async t => {
  system.userSvc.signal('SIGSTOP')
  const answer = whoAmI(system.url, accessToken)
  await delay(100)
  const stopped = gateway.stop()
  await gateway.entry(({ msg, reason }) => msg === 'stopping' && reason === 'the gateway stops')
  system.userSvc.signal('SIGCONT')
  t.equal((await answer).status, 200)
  t.equal(await stopped, 'exit code 0')
  for (const pid of workerPids(gateway)) t.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' })
})
