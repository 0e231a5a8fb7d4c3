import { mock } from 'node:test'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { createHttp2Transport, type Http2TransportOptions } from '../../../../gateway/upstream/http2/transport.ts'
import type { Transport } from '../../../../gateway/upstream/transport.ts'
import { Code, StatusError } from '../../../../runtime/status.ts'
import { grpcJs } from '../../../support/grpc-peers/grpc-js-peer.ts'
import { canCall, echo, rejectionOf, waitUntil } from '../../../support/grpc-peers/peer-calls.ts'
import {
  ACK,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  HEADERS,
  headerBlock,
  message,
  PING,
  type RawPeer,
  response,
  SIZE_UPDATE,
  startRawPeer,
} from '../../../support/grpc-peers/raw-peer.ts'

t.test('calls are distributed round robin over the reachable servers', async t => {
  const peers = await Promise.all(['a', 'b', 'c'].map(name => serve(t, name)))
  const transport = open(t, { address: peers.map(({ address }) => address).join(',') })
  await waitUntil(async () => new Set(await names(transport, 6)).size === 3)
  const counts = countOf(await names(transport, 300))
  t.same(counts, { a: 100, b: 100, c: 100 })
  peers[1]?.stop()
  await waitUntil(async () => !(await names(transport, 6)).includes('b'))
  t.same(countOf(await names(transport, 100)), { a: 50, c: 50 })
  await serve(t, 'b again', peers[1]?.port)
  await waitUntil(async () => (await names(transport, 6)).includes('b again'))
})

t.test('a server that stays unreachable is logged once in 10 s, not at each attempt', async t => {
  const peer = await startRawPeer()
  const lines: unknown[] = []
  let attempts = 0
  const logger = { warn: (...line: unknown[]) => void lines.push(line) } as never
  const limits = { backoff: { initialMs: 1, maxMs: 1 } }
  const transport = createHttp2Transport({ address: peer.address, maxMessageLength: 1000, logger, limits })
  t.teardown(() => transport.close())
  t.teardown(() => peer.stop())
  const calls = Promise.allSettled(
    Array.from({ length: 3 }, () => echo(transport, { deadline: performance.now() + 3000 })),
  )
  while (attempts < 20) {
    const connection = await peer.accept()
    connection.socket.destroy()
    attempts++
  }
  t.match(lines, [[{ upstream: peer.address }, 'upstream connection failed']])
  t.equal(lines.length, 1, `${attempts} attempts`)
  await calls
})

t.test('the channel follows the addresses of its name', async t => {
  const first = await serve(t, 'first', 0, '127.0.0.1')
  await serve(t, 'second', first.port, '127.0.0.2')
  let addresses = ['127.0.0.1']
  const transport = open(t, {
    address: `dns:///users.internal:${first.port}`,
    lookUp: async () => addresses,
    limits: { resolveIntervalMs: 10 },
  })
  t.same(await names(transport, 3), ['first', 'first', 'first'])
  addresses = ['127.0.0.1', '127.0.0.2']
  await waitUntil(async () => new Set(await names(transport, 2)).size === 2)
  addresses = ['127.0.0.2']
  await waitUntil(async () => !(await names(transport, 4)).includes('first'))
  t.same(await names(transport, 3), ['second', 'second', 'second'])
})

t.test('a name whose lookup fails keeps its last addresses', async t => {
  const a = await serve(t, 'a', 0, '127.0.0.1')
  const b = await serve(t, 'b', 0, '127.0.0.2')
  let lookUps = 0
  const transport = open(t, {
    address: `dns:///a.internal:${a.port},b.internal:${b.port}`,
    async lookUp(name) {
      if (name === 'a.internal') return ['127.0.0.1']
      if (++lookUps > 1) throw new Error('EAI_AGAIN')
      return ['127.0.0.2']
    },
    limits: { resolveIntervalMs: 10 },
  })
  await waitUntil(async () => new Set(await names(transport, 2)).size === 2)
  await waitUntil(async () => lookUps > 3)
  t.same(countOf(await names(transport, 20)), { a: 10, b: 10 })
})

t.test('calls fail at once while a name has no addresses, and the lookup is retried', async t => {
  const peer = await serve(t, 'found')
  let lookUps = 0
  const transport = open(t, {
    address: `dns:///users.internal:${peer.port}`,
    async lookUp() {
      if (++lookUps < 3) throw new Error('ENOTFOUND')
      return ['127.0.0.1']
    },
  })
  t.match(await rejectionOf(name(transport)), { code: Code.UNAVAILABLE })
  await waitUntil(() => canCall(transport))
  t.equal(lookUps, 3)
})

t.test('the address of an unreachable server is logged but not part of the error message', async t => {
  const peer = await startRawPeer()
  peer.stop()
  const logged: string[] = []
  const transport = open(t, {
    address: peer.address,
    logger: { warn: (fields: { err: Error }) => logged.push(fields.err.message) } as never,
  })
  const error = await rejectionOf(name(transport))
  t.equal(error.code, Code.UNAVAILABLE)
  t.notMatch(error.message, /127/)
  t.match(logged[0], peer.address)
})

t.test('a server that closes each connection after SETTINGS is reconnected to with backoff', async t => {
  const backoffMs = 100
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  open(t, { address: peer.address, limits: { backoff: { initialMs: backoffMs, maxMs: backoffMs } } })
  const acceptAndClose = async () => {
    const connection = await peer.accept()
    await connection.handshake()
    connection.socket.end()
  }
  await acceptAndClose()
  const closedAt = performance.now()
  for (let reconnects = 0; reconnects < 5; reconnects++) await acceptAndClose()
  t.ok(performance.now() - closedAt >= 2 * backoffMs)
})

t.test('a server that reports NOT_SERVING gets no calls', async t => {
  const peers = [await start(t), await start(t)]
  const transport = open(t, { address: peers.map(({ address }) => address).join(','), healthService: '' })
  await waitUntil(() => canCall(transport))
  peers[0]?.setServing(false)
  peers[1]?.setServing(false)
  await waitUntil(async () => !(await canCall(transport)))
  peers[1]?.setServing(true)
  await waitUntil(() => canCall(transport))
  t.ok((await Promise.all(Array.from({ length: 20 }, () => canCall(transport)))).every(Boolean))
})

t.test('a server without the health service counts as serving', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const transport = open(t, { address: peer.address, healthService: 'user.v1.UserService' })
  const call = name(transport)
  const connection = await peer.accept()
  await connection.handshake()
  const block = headerBlock([':status', '200'], ['content-type', 'application/grpc'], ['grpc-status', '12'])
  const watch = await connection.request()
  connection.send(frame(HEADERS, END_HEADERS | END_STREAM, watch, Buffer.concat([SIZE_UPDATE, block])))
  connection.send(response(await connection.request(), 'plain', false))
  t.equal(await call, 'plain')

  const serves = transport.isServing()
  const check = await connection.request()
  t.match(
    (await connection.next(DATA))?.payload.toString(),
    /user\.v1\.UserService$/,
    'isServing checks the same service',
  )
  connection.send(frame(HEADERS, END_HEADERS | END_STREAM, check, block))
  t.equal(await serves, true)
})

t.test('a compressed health response is read, and an unreadable one counts as not serving', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const transport = open(t, { address: peer.address, healthService: '' })
  const connection = await peer.accept()
  await connection.handshake()
  const head = headerBlock([':status', '200'], ['content-type', 'application/grpc'], ['grpc-encoding', 'gzip'])
  const watch = await connection.request()
  const serving = message(gzipSync(Buffer.from([0x08, 0x01])), 1)
  connection.send(
    frame(HEADERS, END_HEADERS, watch, Buffer.concat([SIZE_UPDATE, head])),
    frame(DATA, 0, watch, serving),
  )
  const call = name(transport)
  connection.send(response(await connection.request(), 'served', false))
  t.equal(await call, 'served')
  connection.send(frame(DATA, 0, watch, message('not gzip', 1)))
  await waitUntil(async () => (await rejectionOf(name(transport)))?.code === Code.UNAVAILABLE)
})

t.test('a health watch does not count as a call for keepalive', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const keepalive = { intervalMs: 10_000, timeoutMs: 5000, withoutCalls: false }
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const transport = open(t, { address: peer.address, healthService: '', keepalive })
  const connection = await peer.accept()
  await connection.handshake()
  const block = headerBlock([':status', '200'], ['content-type', 'application/grpc'])
  const watch = await connection.request()
  connection.send(frame(HEADERS, END_HEADERS, watch, Buffer.concat([SIZE_UPDATE, block])))
  connection.send(frame(DATA, 0, watch, message(Buffer.from([0x08, 0x01]))))
  for (let interval = 0; interval < 10; interval++) mock.timers.tick(keepalive.intervalMs)
  connection.send(frame(PING, 0, 0, Buffer.from('12345678')))
  t.match(await connection.next(PING), { flags: ACK }, 'only the acknowledgement of a PING')
  const call = name(transport)
  const id = await connection.request()
  mock.timers.tick(keepalive.intervalMs)
  mock.timers.tick(keepalive.intervalMs)
  t.ok(await connection.next(PING), 'a PING once a call is in flight')
  connection.send(response(id, 'served', false))
  t.equal(await call, 'served')
})

function open(t: Test, options: Omit<Http2TransportOptions, 'maxMessageLength'>): Transport {
  const transport = createHttp2Transport({
    maxMessageLength: 4_000_000,
    ...options,
    limits: { backoff: { initialMs: 1, maxMs: 10 }, ...options.limits },
  })
  t.teardown(() => transport.close())
  return transport
}

async function start(t: Test) {
  const peer = await grpcJs.start()
  t.teardown(() => peer.kill())
  return peer
}

/** Starts a server that responds to every call with its name. */
async function serve(t: Test, name: string, port = 0, host = '127.0.0.1'): Promise<RawPeer> {
  const peer = await startRawPeer(port, host)
  t.teardown(() => peer.stop())
  void (async () => {
    for (;;) {
      const connection = await peer.accept()
      void (async () => {
        await connection.handshake()
        for (let first = true; ; first = false) {
          const request = await connection.next(HEADERS)
          if (request === undefined) return
          connection.send(response(request.streamId, name, first))
        }
      })()
    }
  })()
  return peer
}

async function name(transport: Transport): Promise<string> {
  return (await echo(transport)).toString()
}

/** The responses of sequential calls. Failed calls are left out. */
async function names(transport: Transport, count: number): Promise<string[]> {
  const found: string[] = []
  for (let call = 0; call < count; call++) {
    await name(transport).then(
      name => found.push(name),
      error => {
        if (!(error instanceof StatusError)) throw error
      },
    )
  }
  return found
}

function countOf(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    Object.entries(Object.groupBy(names, name => name)).map(([name, all]) => [name, all?.length ?? 0]),
  )
}
