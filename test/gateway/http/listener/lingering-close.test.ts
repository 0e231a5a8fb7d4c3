import { once } from 'node:events'
import t from 'tap'
import { limitsSchema } from '../../../../gateway/edge/limits/limit-classes.ts'
import { createLocalBuckets } from '../../../../gateway/edge/limits/local-buckets.ts'
import { openWire, parseResponses } from '../../../support/http-wire.ts'
import { startNotes } from './notes-gateway.ts'

const BODY_BYTES = 5 * 1024 * 1024

/**
 * Sends a head and then a body of 5 MiB without reading, as a client does that reads only after it has sent everything.
 * Returns the statuses and the error of the connection, if any.
 */
async function upload(port: number, head: string) {
  const socket = openWire(port)
  let error: unknown
  socket.on('error', cause => {
    error = cause
  })
  await once(socket, 'connect')
  let received = ''
  const chunk = Buffer.alloc(64 * 1024, 'x')
  socket.write(head)
  for (let sent = 0; sent < BODY_BYTES && error === undefined; sent += chunk.length) {
    if (!socket.write(chunk)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
  }
  const isComplete = new Promise<void>(resolve => {
    socket.on('data', data => {
      received += data
      if (/^connection: keep-alive\r$/im.test(received) && received.endsWith('}')) resolve()
    })
  })
  await Promise.race([isComplete, once(socket, 'end'), once(socket, 'close')]).catch(() => {})
  socket.destroy()
  return { error, statuses: parseResponses(received).map(({ status }) => status) }
}

const head = (method: string, path: string, ...lines: string[]) =>
  [`${method} ${path} HTTP/1.1`, 'host: a', 'content-type: application/json', ...lines, '', ''].join('\r\n')
const SIZE = `content-length: ${BODY_BYTES}`

t.test('a client that still sends its body of 5 MiB receives the response that refuses it', async t => {
  const { port } = await startNotes(t, ({ message }) => message)
  const cases: [name: string, request: string, status: number][] = [
    ['a body above the limit', head('POST', '/v1/notes', SIZE), 413],
    ['no access token', head('PUT', '/v1/mine', SIZE, 'connection: close'), 401],
    ['no access token, on a kept connection', head('PUT', '/v1/mine', SIZE), 401],
    ['no route', head('POST', '/none', SIZE), 404],
    ['headers above the limit', head('POST', '/v1/notes', SIZE, `x: ${'x'.repeat(20_000)}`), 431],
    ['a malformed head', head('POST', '/v1/notes', SIZE, 'bad header: 1'), 400],
  ]
  for (const [name, request, status] of cases) {
    const { error, statuses } = await upload(port, request)
    t.equal(error, undefined, `${name}: the connection is not reset`)
    t.same(statuses, [status], name)
  }
})

t.test('a client that still sends its body of 5 MiB receives the 429 that refuses it', async t => {
  const settings = limitsSchema.parse({
    classes: {
      user: 'unlimited',
      anonymous: { capacity: 1, refill: '1 / 1h' },
      other: { capacity: 1, refill: '1 / 1h' },
    },
  })
  const limits = { settings, buckets: createLocalBuckets() }
  const { port, upstream } = await startNotes(t, ({ message }) => message, { limits })
  const cases: [name: string, first: number, request: string][] = [
    ['a method of the contract', 413, head('POST', '/v1/notes', SIZE)],
    ['a path without a route', 404, head('POST', '/none', SIZE)],
  ]
  for (const [name, first, request] of cases) {
    t.same((await upload(port, request)).statuses, [first], `${name}: the only token`)
    for (const connection of ['keep-alive', 'close']) {
      const { error, statuses } = await upload(
        port,
        request.replace('\r\n\r\n', `\r\nconnection: ${connection}\r\n\r\n`),
      )
      t.equal(error, undefined, `${name}, ${connection}: the connection is not reset`)
      t.same(statuses, [429], `${name}, ${connection}`)
    }
  }
  t.same(upstream.received, [])
})
