import { once } from 'node:events'
import t from 'tap'
import { openWire, readResponses } from '../../../support/http-wire.ts'
import { startNotes } from './notes-gateway.ts'

// The default of tap is 30 s.
t.setTimeout(120_000)

t.test('a request whose body stays incomplete gets 408 after 30 s', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const socket = openWire(port)
  await once(socket, 'connect')
  const startedAt = performance.now()
  socket.write('POST /v1/notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 60\r\n\r\n{')
  // A byte a second does not extend the time.
  const drip = setInterval(() => socket.write(' '), 1000)
  socket.once('end', () => clearInterval(drip))
  t.teardown(() => clearInterval(drip))
  const [response, ...others] = await readResponses(socket)
  const seconds = (performance.now() - startedAt) / 1000
  t.equal(response?.status, 408)
  t.same(others, [])
  t.ok(seconds >= 29 && seconds < 45, `closed after ${seconds.toFixed(1)} s`)
})
