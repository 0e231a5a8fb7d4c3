import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { registerDrain } from '../../../gateway/http/drain.ts'

async function listen(): Promise<FastifyInstance> {
  const app = Fastify({ return503OnClosing: false })
  registerDrain(app, () => false)
  app.get('/', () => 'here')
  app.get('/large', () => LARGE)
  app.post('/', ({ body }) => body)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app
}

async function open(app: FastifyInstance) {
  const { port } = app.server.address() as AddressInfo
  const accepted = once(app.server, 'connection')
  const socket = connect(port, '127.0.0.1')
  await Promise.all([accepted, once(socket, 'connect')])
  return socket
}

/** More than the buffers between two processes take. */
const LARGE = 'x'.repeat(20_000_000)
const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'

t.test('a connection accepted before the stop gets its answer, and is told that it was the last', async t => {
  const app = await listen()
  const socket = await open(app)
  const closed = app.close()
  socket.write(REQUEST)
  const answer = await text(socket)
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n/)
  t.match(answer, /^connection: close\r$/im)
  await closed
})

t.test('a connection that is kept without a request does not hold the stop up', async () => {
  const app = await listen()
  const [silent, used] = [await open(app), await open(app)]
  used.write(REQUEST)
  await once(used, 'data')
  const ends = [silent, used].map(socket => once(socket.resume(), 'close'))
  await app.close()
  await Promise.all(ends)
})

t.test('a request that comes in pieces is answered', async t => {
  const app = await listen()
  const [slowHead, slowBody] = [await open(app), await open(app)]
  slowHead.write(REQUEST.slice(0, 10))
  slowBody.write('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\nhello')
  const closed = app.close()
  await delay(100)
  slowHead.write(REQUEST.slice(10))
  // Longer than a connection is given that asks for nothing.
  await delay(400)
  slowBody.write('world')
  t.match(await text(slowHead), /\r\n\r\nhere$/)
  t.match(await text(slowBody), /\r\n\r\nhelloworld$/)
  await closed
})

t.test('an answer goes to its end, however slow its client is to take it', async t => {
  const app = await listen()
  const socket = await open(app)
  socket.pause()
  socket.write('GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await once(app.server, 'request')
  const closed = app.close()
  await delay(600)
  t.ok((await text(socket)).endsWith(`\r\n\r\n${LARGE}`))
  await closed
})

t.test('half a request, and nothing more, does not hold the stop up', async () => {
  const app = await listen()
  const [head, body] = [await open(app), await open(app)]
  head.write(REQUEST.slice(0, 10))
  body.write('POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: text/plain\r\ncontent-length: 10\r\n\r\nhello')
  const ends = [head, body].map(socket => new Promise(resolve => socket.resume().once('close', resolve)))
  await app.close()
  await Promise.all(ends)
})

t.test('a gateway that never listened closes', async () => {
  const app = Fastify()
  registerDrain(app, () => false)
  await app.ready()
  await app.close()
})
