import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { registerDrain } from '../../gateway/drain.ts'

async function listen(): Promise<FastifyInstance> {
  const app = Fastify({ return503OnClosing: false })
  registerDrain(app, () => false)
  app.get('/', () => 'here')
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

t.test('a gateway that never listened closes', async () => {
  const app = Fastify()
  registerDrain(app, () => false)
  await app.ready()
  await app.close()
})
