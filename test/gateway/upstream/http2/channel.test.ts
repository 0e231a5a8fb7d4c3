import { setTimeout } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import { createHttp2Transport, type Http2TransportOptions } from '../../../../gateway/upstream/http2/transport.ts'
import type { Transport } from '../../../../gateway/upstream/transport.ts'
import { Code, StatusError } from '../../../../runtime/status.ts'
import { grpcJs } from '../../../support/grpc-peers/grpc-js-peer.ts'
import { peerMethod } from '../../../support/grpc-peers/peer.ts'
import {
  answer,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  HEADERS,
  headerBlock,
  message,
  PING,
  type RawPeer,
  SIZE_UPDATE,
  startRawPeer,
} from '../../../support/grpc-peers/raw-peer.ts'

t.test('calls go round over the servers, and round the one that is gone', async t => {
  const peers = await Promise.all(['a', 'b', 'c'].map(name => serve(t, name)))
  const transport = open(t, { address: peers.map(({ address }) => address).join(',') })
  await until(async () => new Set(await names(transport, 6)).size === 3)
  const counts = countOf(await names(transport, 300))
  t.same(counts, { a: 100, b: 100, c: 100 })
  peers[1]?.stop()
  await until(async () => !(await names(transport, 6)).includes('b'))
  t.same(countOf(await names(transport, 100)), { a: 50, c: 50 })
  await serve(t, 'b again', peers[1]?.port)
  await until(async () => (await names(transport, 6)).includes('b again'))
})

t.test('a name is followed where it leads', async t => {
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
  await until(async () => new Set(await names(transport, 2)).size === 2)
  addresses = ['127.0.0.2']
  await until(async () => !(await names(transport, 4)).includes('first'))
  t.same(await names(transport, 3), ['second', 'second', 'second'])
})

t.test('where one of several names is not found for once, its servers are kept', async t => {
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
  await until(async () => new Set(await names(transport, 2)).size === 2)
  await until(async () => lookUps > 3)
  t.same(countOf(await names(transport, 20)), { a: 10, b: 10 })
})

t.test('a name that leads nowhere fails its calls at once, and is asked again', async t => {
  const peer = await serve(t, 'found')
  let lookUps = 0
  const transport = open(t, {
    address: `dns:///users.internal:${peer.port}`,
    async lookUp() {
      if (++lookUps < 3) throw new Error('ENOTFOUND')
      return ['127.0.0.1']
    },
  })
  t.match(await failure(name(transport)), { code: Code.UNAVAILABLE })
  await until(() => name(transport).then(() => true, isStatusError))
  t.equal(lookUps, 3)
})

t.test('the error for a server that is not there names its address to the log only', async t => {
  const peer = await startRawPeer()
  peer.stop()
  const logged: string[] = []
  const transport = open(t, {
    address: peer.address,
    logger: { warn: (fields: { err: Error }) => logged.push(fields.err.message) } as never,
  })
  const error = await failure(name(transport))
  t.equal(error.code, Code.UNAVAILABLE)
  t.notMatch(error.message, /127/)
  t.match(logged[0], peer.address)
})

t.test('a server that greets and hangs up is dialled again after a pause each time', async t => {
  const pauseMs = 100
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  open(t, { address: peer.address, limits: { backoff: { initialMs: pauseMs, maxMs: pauseMs } } })
  const greet = async () => {
    const connection = await peer.accept()
    await connection.handshake()
    connection.socket.end()
  }
  await greet()
  const hungUpAt = performance.now()
  for (let redials = 0; redials < 5; redials++) await greet()
  t.ok(performance.now() - hungUpAt >= 2 * pauseMs)
})

t.test('a server that says it does not serve gets no calls', async t => {
  const peers = [await start(t), await start(t)]
  const transport = open(t, { address: peers.map(({ address }) => address).join(','), healthService: '' })
  await until(() => echoes(transport))
  peers[0]?.setServing(false)
  peers[1]?.setServing(false)
  await until(async () => !(await echoes(transport)))
  peers[1]?.setServing(true)
  await until(() => echoes(transport))
  t.ok((await Promise.all(Array.from({ length: 20 }, () => echoes(transport)))).every(Boolean))
})

t.test('a server without a health service is taken as it is', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const transport = open(t, { address: peer.address, healthService: 'user.v1.UserService' })
  const call = name(transport)
  const connection = await peer.accept()
  await connection.handshake()
  const block = headerBlock([':status', '200'], ['content-type', 'application/grpc'], ['grpc-status', '12'])
  const watch = await connection.request()
  connection.send(frame(HEADERS, END_HEADERS | END_STREAM, watch, Buffer.concat([SIZE_UPDATE, block])))
  connection.send(answer(await connection.request(), 'plain', false))
  t.equal(await call, 'plain')

  const serves = transport.isServing()
  const check = await connection.request()
  t.match(
    (await connection.next(DATA))?.payload.toString(),
    /user\.v1\.UserService$/,
    'readiness asks of the same service',
  )
  connection.send(frame(HEADERS, END_HEADERS | END_STREAM, check, block))
  t.equal(await serves, true)
})

t.test(
  'a server that compresses what it says of its health is understood, and one that says nothing readable is not serving',
  async t => {
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
    connection.send(answer(await connection.request(), 'served', false))
    t.equal(await call, 'served')
    connection.send(frame(DATA, 0, watch, message('not gzip', 1)))
    await until(async () => (await failure(name(transport)))?.code === Code.UNAVAILABLE)
  },
)

t.test('a watch of health is no call that a server would have to be pinged for', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const keepalive = { intervalMs: 5, timeoutMs: 5000, withoutCalls: false }
  const transport = open(t, { address: peer.address, healthService: '', keepalive })
  const connection = await peer.accept()
  await connection.handshake()
  const block = headerBlock([':status', '200'], ['content-type', 'application/grpc'])
  const watch = await connection.request()
  connection.send(frame(HEADERS, END_HEADERS, watch, Buffer.concat([SIZE_UPDATE, block])))
  connection.send(frame(DATA, 0, watch, message(Buffer.from([0x08, 0x01]))))
  await setTimeout(50)
  t.notOk(connection.frames.some(({ type }) => type === PING))
  const call = name(transport)
  const id = await connection.request()
  t.ok(await connection.next(PING), 'the call is one')
  connection.send(answer(id, 'served', false))
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

/** A server that answers every call with its name. */
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
          connection.send(answer(request.streamId, name, first))
        }
      })()
    }
  })()
  return peer
}

function echo(transport: Transport): Promise<Buffer> {
  return transport.unary(peerMethod('Echo'), Buffer.from('x'), {}, deadlineIn(10_000)) as Promise<Buffer>
}

async function name(transport: Transport): Promise<string> {
  return (await echo(transport)).toString()
}

/** One after the other. Calls that fail are left out. */
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

function echoes(transport: Transport): Promise<boolean> {
  return echo(transport).then(() => true, isStatusError)
}

function isStatusError(error: unknown): false {
  if (!(error instanceof StatusError)) throw error
  return false
}

/** Asks again until it is so; the test's timeout is the bound. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setImmediate(resolve))
}

async function failure(call: Promise<unknown>): Promise<StatusError> {
  try {
    await call
  } catch (error) {
    return error as StatusError
  }
  throw new Error('The call did not fail')
}
