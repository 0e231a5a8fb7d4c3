import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { registerDrain } from '../../../../gateway/http/listener/drain.ts'
import { createHttp1Listener } from '../../../../gateway/http/listener/http1-listener.ts'
import { UNLIMITED } from './unlimited.ts'

function build(): FastifyInstance {
  const listener = createHttp1Listener({ ...UNLIMITED, malformedResponse: () => '', onRejected: () => {} })
  const app = Fastify({ return503OnClosing: false, serverFactory: listener.serve })
  registerDrain(app, listener.connections, () => false)
  return app
}

/** @param onPreClose runs after the drain has started and before the server stops listening. */
async function listen(onPreClose: () => Promise<void> = async () => {}): Promise<FastifyInstance> {
  const app = build()
  app.addHook('preClose', onPreClose)
  app.get('/', () => 'here')
  app.get('/large', () => LARGE)
  app.post('/', ({ body }) => body)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app
}

/** Opens a connection and waits until the server has accepted it. */
async function open(app: FastifyInstance): Promise<Socket> {
  const { port } = app.server.address() as AddressInfo
  const accepted = once(app.server, 'connection')
  const socket = connect(port, '127.0.0.1')
  await Promise.all([accepted, once(socket, 'connect')])
  return socket
}

/** More than fits into the socket buffers of both sides. */
const LARGE = 'x'.repeat(20_000_000)
const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
const HALF_HEAD = REQUEST.slice(0, 10)
const HALF_BODY = 'POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\nhello'

t.test('a request on a connection accepted before the drain gets a response with Connection: close', async t => {
  const app = await listen()
  const socket = await open(app)
  const closed = app.close()
  socket.write(REQUEST)
  const response = await text(socket)
  t.match(response, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(response, /^connection: close\r$/im)
  await closed
})

t.test('a connection accepted while the drain closes connections has 200 ms to send a request', async t => {
  const opened = Promise.withResolvers<Socket>()
  const app = await listen(async () => opened.resolve(await open(app)))
  const closed = app.close()
  const socket = await opened.promise
  // At least one check for idle connections, which runs every 50 ms.
  await delay(100)
  socket.write(REQUEST)
  t.match(await text(socket), /^HTTP\/1\.1 200 OK\r\n/)
  await closed
})

t.test('the drain closes connections without a request: unused ones and kept-alive ones', async () => {
  const app = await listen()
  const [unused, keptAlive] = [await open(app), await open(app)]
  keptAlive.write(REQUEST)
  await once(keptAlive, 'data')
  const ends = [unused, keptAlive].map(socket => once(socket.resume(), 'close'))
  await app.close()
  await Promise.all(ends)
})

t.test('a request whose head or body arrives slowly during the drain gets its response', async t => {
  const app = await listen()
  const [slowHead, slowBody] = [await open(app), await open(app)]
  slowHead.write(HALF_HEAD)
  slowBody.write(HALF_BODY)
  const closed = app.close()
  // Less than the 200 ms in which a connection must send data.
  await delay(100)
  slowHead.write(REQUEST.slice(HALF_HEAD.length))
  // More than these 200 ms, less than the 5 s between two chunks of a body.
  await delay(400)
  slowBody.write('world')
  t.match(await text(slowHead), /\r\n\r\nhere$/)
  t.match(await text(slowBody), /\r\n\r\nhelloworld$/)
  await closed
})

t.test('a response is sent completely during the drain, however slowly its client reads', async t => {
  const app = await listen()
  const socket = await open(app)
  socket.pause()
  socket.write('GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(app.server, 'request')
  const closed = app.close()
  // The client does not read for longer than an idle connection is kept.
  await delay(600)
  t.ok((await text(socket)).endsWith(`\r\n\r\n${LARGE}`))
  await closed
})

t.test('the drain closes connections whose request stays incomplete', async () => {
  const app = await listen()
  const [head, body] = [await open(app), await open(app)]
  head.write(HALF_HEAD)
  body.write(HALF_BODY)
  const ends = [head, body].map(socket => new Promise(resolve => socket.resume().once('close', resolve)))
  await app.close()
  await Promise.all(ends)
})

t.test('an instance that never listened can be closed', async () => {
  const app = build()
  await app.ready()
  await app.close()
})
