import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { openWire, readResponses } from '../../../support/http-wire.ts'
import { until } from '../../../support/until.ts'
import { get, note, post, startNotes } from './notes-gateway.ts'

const statuses = (responses: { status: number }[]) => responses.map(({ status }) => status)
const LAST = 'GET /v1/notes/last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'

t.test('pipelined requests with bodies are served one after another, in order', async t => {
  let inProgress = 0
  let most = 0
  const { port, upstream } = await startNotes(t, async ({ message }) => {
    most = Math.max(most, ++inProgress)
    await delay(5)
    inProgress--
    return message
  })
  const names = Array.from({ length: 30 }, (_, number) => `n${number}`)
  const bytes = names.map((name, number) => (number % 3 === 0 ? get(`/v1/notes/${name}`) : post('/v1/notes', { name })))
  // The second cut is inside of a head, the third inside of a body.
  for (const cuts of [[], [1], [700], [200, 201, 900], Array.from({ length: 60 }, (_, number) => number * 40)]) {
    const socket = openWire(port).setNoDelay()
    const text = bytes.join('') + LAST
    for (const [at, start] of [0, ...cuts].entries()) {
      socket.write(text.slice(start, cuts[at]))
      await delay(1)
    }
    const responses = await readResponses(socket)
    t.same(
      responses.map(({ body }) => JSON.parse(body).name),
      [...names, 'last'],
      `cut into ${cuts.length + 1} parts`,
    )
  }
  t.equal(most, 1)
  t.equal(upstream.received.length, 5 * 31)
})

t.test('requests behind a stream wait until it ends', async t => {
  const gate = Promise.withResolvers<void>()
  const { port, upstream } = await startNotes(t, async function* () {
    yield note('first')
    await gate.promise
    yield note('second')
  })
  const socket = openWire(port)
  socket.write(
    get('/v1/feed/a') + get('/healthz') + get('/healthz').replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'),
  )
  await until(
    async () => upstream.received.length,
    count => count === 1,
  )
  socket.write(get('/healthz'))
  setImmediate(gate.resolve)
  const [stream, ...others] = await readResponses(socket)
  t.equal(stream?.body.trimEnd().split('\n').length, 2)
  t.same(statuses(others), [200, 200], 'no response follows the one with Connection: close')
})

t.test('of 2,000 pipelined requests in a chunk at most two are parsed while their client reads nothing', async t => {
  const gate = Promise.withResolvers<void>()
  const { port, server, upstream } = await startNotes(t, async ({ message }) => {
    await gate.promise
    return message
  })
  let parsed = 0
  server.prependListener('request', () => parsed++)
  const socket = openWire(port)
  socket.write(get('/v1/notes/a').repeat(2000) + LAST)
  await until(
    async () => upstream.received.length,
    count => count === 1,
  )
  await delay(100)
  t.equal(upstream.received.length, 1)
  t.ok(parsed <= 2, `${parsed} requests parsed`)
  gate.resolve()
  const responses = await readResponses(socket)
  t.equal(responses.length, 2001)
  t.ok(responses.every(({ status }) => status === 200))
})

t.test('a client that disconnects while requests wait leaves nothing behind', async t => {
  const gateway = await startNotes(t, async ({ signal, message }) => {
    await Promise.race([once(signal, 'abort'), delay(10_000, undefined, { ref: false })])
    return message
  })
  const sockets = Array.from({ length: 20 }, () => openWire(gateway.port))
  for (const socket of sockets) socket.write(get('/v1/notes/a').repeat(100))
  await until(
    async () => gateway.upstream.received.length,
    count => count === 20,
  )
  for (const socket of sockets) socket.resetAndDestroy()
  await until(
    () => new Promise<number>(resolve => gateway.server.getConnections((_error, count) => resolve(count))),
    count => count === 0,
  )
  t.equal(gateway.upstream.received.length, 20, 'no waiting request was started')
})

t.test('Expect: 100-continue of a waiting request is answered when its turn comes', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const expecting = post('/v1/notes', { name: 'b' }).replace('\r\n\r\n', '\r\nexpect: 100-continue\r\n\r\n')
  const socket = openWire(port)
  socket.write(get('/v1/notes/a') + expecting + LAST)
  t.same(statuses(await readResponses(socket)), [200, 201, 200])
})
