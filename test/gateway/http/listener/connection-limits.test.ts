import { once } from 'node:events'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { openWire } from '../../../support/http-wire.ts'
import { until } from '../../../support/until.ts'
import { get, note, startNotes } from './notes-gateway.ts'

type Gateway = Awaited<ReturnType<typeof startNotes>>

async function rejections({ metrics }: Gateway, reason: string): Promise<number> {
  const snapshot = await metrics.snapshot()
  const text = JSON.stringify(snapshot)
  const metric = JSON.parse(text).find(({ name }: { name: string }) => name === 'http_connections_rejected_total')
  return metric?.values.find(({ labels }: { labels: { reason: string } }) => labels.reason === reason)?.value ?? 0
}

/** Opens connections. Each sends a request and reads the response. Resolves with the sockets that got one. */
async function openAll(t: Test, port: number, count: number): Promise<Socket[]> {
  const served: Socket[] = []
  for (let number = 0; number < count; number++) {
    const socket = openWire(port)
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    socket.write(get('/healthz'))
    const isServed = await Promise.race([
      once(socket, 'data').then(() => true),
      once(socket, 'close').then(() => false),
      once(socket, 'end').then(() => false),
    ]).catch(() => false)
    if (isServed) served.push(socket)
  }
  return served
}

t.test('connections from one address above its cap are closed; a closed connection makes room', async t => {
  const gateway = await startNotes(t, ({ message }) => message, { connections: { maxConnectionsPerAddress: 3 } })
  const served = await openAll(t, gateway.port, 5)
  t.equal(served.length, 3)
  t.equal(await rejections(gateway, 'address_limit'), 2)
  const closed = once(served[0] as Socket, 'close')
  served[0]?.destroy()
  await closed
  await until(
    () => openAll(t, gateway.port, 1),
    ({ length }) => length === 1,
  )
})

t.test('an exempt address has no cap', async t => {
  const connections = { maxConnectionsPerAddress: 3, isExempt: (address: string) => address === '127.0.0.1' }
  const gateway = await startNotes(t, ({ message }) => message, { connections })
  t.equal((await openAll(t, gateway.port, 10)).length, 10)
  t.equal(await rejections(gateway, 'address_limit'), 0)
})

t.test('connections above the cap of the process are closed', async t => {
  const connections = { maxConnections: 4, isExempt: () => true }
  const gateway = await startNotes(t, ({ message }) => message, { connections })
  t.equal((await openAll(t, gateway.port, 6)).length, 4)
  t.equal(await rejections(gateway, 'process_limit'), 2)
})

const LARGE = 'x'.repeat(900_000)

t.test('unread responses above the limit of the process abort the connections without progress', async t => {
  const limit = 5_000_000
  const gateway = await startNotes(t, ({ message }) => note((message as unknown as { name: string }).name, LARGE), {
    connections: { maxUnreadBytes: limit },
  })
  const stalled = Array.from({ length: 20 }, () => openWire(gateway.port))
  for (const socket of stalled) socket.on('error', () => {})
  // 36 MB for each: more than the kernel buffers.
  for (const socket of stalled) socket.write(get('/v1/notes/a').repeat(40))
  await until(
    () => rejections(gateway, 'unread_bytes'),
    count => count > 0,
  )
  const unread = () =>
    new Promise<number>(resolve => gateway.server.getConnections((_error, count) => resolve(count * LARGE.length)))
  await until(unread, bytes => bytes <= limit + LARGE.length)
  t.equal((await gateway.call('/v1/notes/b')).status, 200, 'others are served')
  for (const socket of stalled) socket.destroy()
})

t.test('a client that reads nothing is disconnected after the write timeout, one that reads slowly is not', async t => {
  const gateway = await startNotes(t, () => note('a', LARGE), { connections: { writeTimeoutMs: 3000 } })
  const [stalled, slow] = [openWire(gateway.port), openWire(gateway.port)]
  for (const socket of [stalled, slow]) {
    socket.on('error', () => {}).pause()
    socket.write(get('/v1/notes/a').repeat(40))
  }
  t.teardown(() => slow.destroy())
  let received = 0
  // One chunk of at most 64 KiB, then a pause.
  slow.on('data', chunk => {
    received += chunk.length
    slow.pause()
    setTimeout(() => slow.resume(), 10)
  })
  slow.resume()
  await until(
    () => rejections(gateway, 'write_timeout'),
    count => count === 1,
  )
  stalled.destroy()
  await until(
    async () => received,
    bytes => bytes > 10 * LARGE.length,
  )
  t.equal(await rejections(gateway, 'write_timeout'), 1)
})
