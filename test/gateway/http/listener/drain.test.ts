import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import { pino } from 'pino'
import t from 'tap'
import { createHttpServer, type HttpServer, idleServer } from '../../../../gateway/http/listener/http-server.ts'
import { UNLIMITED } from './unlimited.ts'

const build = () =>
  createHttpServer({
    logger: pino({ level: 'silent' }),
    limits: UNLIMITED.limits,
    corsOrigins: [],
    isDraining: () => false,
    onMalformed: () => {},
    onRejected: () => {},
  })

async function listen(): Promise<HttpServer> {
  const server = await build()
  const app = Fastify({ serverFactory: idleServer })
  app.addHook('onSend', async (_request, reply, payload) => {
    if (server.isClosing()) reply.header('connection', 'close')
    return payload
  })
  app.get('/', () => 'here')
  app.get('/large', () => LARGE)
  app.post('/', ({ body }) => body)
  await app.ready()
  server.serve(app)
  await server.listen('127.0.0.1', 0)
  return server
}

/** Opens a connection and waits until the server has accepted it. */
async function open({ server }: HttpServer): Promise<Socket> {
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection')
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

t.test('a connection has 200 ms after the start of the drain to send a request', async t => {
  const app = await listen()
  const socket = await open(app)
  const closed = app.close()
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

t.test('a server that never listened can be closed', async () => {
  await (await build()).close()
})
