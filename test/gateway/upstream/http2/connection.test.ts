import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Cancellation } from '../../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import { Connection } from '../../../../gateway/upstream/http2/connection.ts'
import { createRequestHeaderEncoder } from '../../../../gateway/upstream/http2/request-headers.ts'
import { createResponseHeaderReader } from '../../../../gateway/upstream/http2/response-headers.ts'
import { createHttp2Transport, type Http2TransportLimits } from '../../../../gateway/upstream/http2/transport.ts'
import { type KeepaliveOptions, NotProcessedError, type Transport } from '../../../../gateway/upstream/transport.ts'
import { Code, type StatusError } from '../../../../runtime/status.ts'
import { echo, rejectionOf } from '../../../support/grpc-peers/peer-calls.ts'
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  GOAWAY,
  HEADERS,
  message,
  PING,
  type RawConnection,
  RESPONSE_HEADERS,
  RST_STREAM,
  response,
  SETTINGS,
  SIZE_UPDATE,
  settings,
  startRawPeer,
  TRAILERS,
  uint32,
  WINDOW_UPDATE,
} from '../../../support/grpc-peers/raw-peer.ts'

const REFUSED_STREAM = 7
const ENHANCE_YOUR_CALM = 11
const [MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE] = [3, 4, 6]

t.test(
  'the first SETTINGS disable the dynamic table and push, and the first header block updates the table size',
  async t => {
    const { connection, call } = await startCall(t)
    const [first] = connection.frames as [Frame]
    const values = Object.fromEntries(
      Array.from({ length: first.payload.length / 6 }, (_, index) => [
        first.payload.readUInt16BE(index * 6),
        first.payload.readUInt32BE(index * 6 + 2),
      ]),
    )
    t.equal(first.type, SETTINGS)
    t.match(values, { 1: 0, 2: 0 }, 'HEADER_TABLE_SIZE and ENABLE_PUSH')
    const headers = (await connection.next(HEADERS)) as Frame
    t.equal(headers.payload[0], 0x20, 'a table size update in the first block')
    connection.send(response(1, 'ok'))
    t.equal((await call).toString(), 'ok')
    const next = echo(transportOf(t))
    t.equal((await connection.next(HEADERS))?.payload[0], 0x83, 'no update in the second block')
    connection.send(response(3, 'ok', false))
    await next
  },
)

t.test('SETTINGS and PING are acknowledged', async t => {
  const { connection } = await startCall(t)
  t.ok(await connection.next(SETTINGS, ({ flags }) => flags === ACK))
  connection.send(frame(PING, 0, 0, Buffer.from('12345678')))
  t.equal((await connection.next(PING))?.payload.toString(), '12345678')
})

t.test('after GOAWAY, calls that the server did not process are retried on the next connection', async t => {
  const { peer, connection, call: first, transport } = await startCall(t)
  await connection.request()
  const second = echo(transport)
  await connection.request()
  connection.send(frame(GOAWAY, 0, 0, uint32(1, 0)))
  const next = await peer.accept()
  await next.handshake()
  next.send(response(await next.request(), 'from the next'))
  t.equal((await second).toString(), 'from the next')
  connection.send(response(1, 'from the first'))
  t.equal((await first).toString(), 'from the first', 'a call that the server processes finishes')
  await connection.ended()
})

t.test('a graceful shutdown with two GOAWAY frames loses no call', async t => {
  const { peer, connection, call: first, transport } = await startCall(t)
  await connection.request()
  connection.send(frame(GOAWAY, 0, 0, uint32(0x7fff_ffff, 0)))
  const next = await peer.accept()
  await next.handshake()
  const second = echo(transport)
  next.send(response(await next.request(), 'second'))
  connection.send(frame(GOAWAY, 0, 0, uint32(1, 0)), response(1, 'first'))
  t.same([(await first).toString(), (await second).toString()], ['first', 'second'])
})

t.test('a call that is refused three times fails with NotProcessedError', async t => {
  const { peer, connection, transport, call: first } = await startCall(t)
  connection.send(response(await connection.request(), 'ok'))
  await first
  const attempts: [number, string][] = []
  const ends: (StatusError | undefined)[] = []
  const call = echo(transport, {
    observer: {
      onAttempt: (attempt, server) => attempts.push([attempt, server]),
      onAttemptEnd: error => ends.push(error),
    },
  })
  for (let attempt = 0; attempt < 3; attempt++) {
    connection.send(frame(RST_STREAM, 0, await connection.request(), uint32(REFUSED_STREAM)))
  }
  const error = await rejectionOf(call)
  t.same(
    attempts,
    [1, 2, 3].map(attempt => [attempt, peer.address]),
  )
  t.ok(ends.length === 3 && ends.every(end => end instanceof NotProcessedError), 'the observer receives each attempt')
  t.ok(error instanceof NotProcessedError, 'the caller may retry')
  t.equal(error.code, Code.UNAVAILABLE)
})

t.test('a call that the server may have processed is not retried', async t => {
  const { peer, connection, call } = await startCall(t)
  await connection.request()
  connection.socket.destroy()
  const error = await rejectionOf(call)
  t.equal(error.code, Code.UNAVAILABLE)
  t.notOk(error instanceof NotProcessedError)
  const next = await peer.accept()
  await next.handshake()
  const other = echo(transportOf(t))
  next.send(response(await next.request(), 'other'))
  await other
  t.equal(next.frames.filter(({ type }) => type === HEADERS).length, 1)
})

t.test('a call whose request was not written yet is retried on the next connection', async t => {
  const { peer, connection, call: first, transport } = await startCall(t, {}, { [MAX_CONCURRENT_STREAMS]: 1 })
  const attempts: number[] = []
  const second = echo(transport, { observer: { onAttempt: attempt => attempts.push(attempt), onAttemptEnd() {} } })
  second.catch(() => {})
  // The end of the first call starts the second, and a PING on a stream closes the connection in the same turn.
  const id = await connection.request()
  connection.send(response(id, 'first'), frame(PING, 0, id, Buffer.alloc(8)))
  t.equal((await first).toString(), 'first')
  const next = await peer.accept()
  await next.handshake()
  next.request().then(
    id => next.send(response(id, 'from the next')),
    () => {},
  )
  t.equal((await second).toString(), 'from the next')
  t.same(attempts, [1, 2])
  await connection.ended()
  t.equal(
    connection.frames.filter(({ type }) => type === HEADERS).length,
    1,
    'the first connection did not send the second call',
  )
})

t.test('calls above SETTINGS_MAX_CONCURRENT_STREAMS wait for a stream', async t => {
  const { connection, call: first, transport } = await startCall(t, {}, { [MAX_CONCURRENT_STREAMS]: 1 })
  const second = echo(transport)
  connection.send(response(await connection.request(), 'first'))
  t.equal((await first).toString(), 'first')
  connection.send(response(await connection.request(), 'second', false))
  t.equal((await second).toString(), 'second')

  connection.send(settings({ [MAX_CONCURRENT_STREAMS]: 0 }), frame(PING, 0, 0, Buffer.alloc(8)))
  await connection.next(PING)
  const third = echo(transport)
  connection.send(settings({ [MAX_CONCURRENT_STREAMS]: 5 }))
  connection.send(response(await connection.request(), 'third', false))
  t.equal((await third).toString(), 'third')
})

t.test(
  'a queued call ends at its deadline or when cancelled, and a call above the queue limit fails at once',
  async t => {
    const { connection, transport } = await startCall(t, { maxWaitingCalls: 2 }, { [MAX_CONCURRENT_STREAMS]: 1 })
    const cancellation = new Cancellation()
    await connection.request()
    const late = rejectionOf(echo(transport, { deadline: deadlineIn(50) }))
    const aborted = rejectionOf(echo(transport, { cancellation }))
    t.match(await rejectionOf(echo(transport)), { code: Code.UNAVAILABLE, message: /many/ })
    cancellation.cancel()
    t.equal((await aborted).code, Code.CANCELLED)
    t.equal((await late).code, Code.DEADLINE_EXCEEDED)
    t.equal(connection.frames.filter(({ type }) => type === HEADERS).length, 1, 'none of them was sent')
  },
)

t.test('changes of the system clock do not affect deadlines', async t => {
  const { connection, transport } = await startCall(t)
  await connection.request()
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const late = rejectionOf(echo(transport, { deadline: deadlineIn(100) }))
  const waiting = echo(transport)
  await connection.request()
  const waitingId = await connection.request()
  Date.now = () => now() - 3_600_000
  t.equal((await late).code, Code.DEADLINE_EXCEEDED)
  Date.now = () => now() + 3_600_000
  const quick = rejectionOf(echo(transport, { deadline: deadlineIn(100) }))
  t.equal((await quick).code, Code.DEADLINE_EXCEEDED)
  connection.send(response(waitingId, 'in time'))
  t.equal((await waiting).toString(), 'in time')
})

t.test('a message is sent within the window of its stream, which may become negative', async t => {
  const { connection, transport, call } = await startCall(t, {}, { [INITIAL_WINDOW_SIZE]: 0 })
  connection.send(frame(RST_STREAM, 0, await connection.request(), uint32(8)))
  await rejectionOf(call)
  const body = Buffer.from(Array.from({ length: 100 }, (_, index) => index))
  const whole = message(body)
  const sending = echo(transport, { body })
  const id = await connection.request()
  const received: Buffer[] = []
  const receive = async (length: number) => {
    const data = (await connection.next(DATA)) as Frame
    t.equal(data.payload.length, length)
    received.push(data.payload)
    return data
  }

  // These increments split the prefix of the message.
  for (const increment of [1, 3, 7]) {
    connection.send(frame(WINDOW_UPDATE, 0, id, uint32(increment)))
    await receive(increment)
  }
  connection.send(settings({ [INITIAL_WINDOW_SIZE]: 10 }))
  await receive(10)
  // The window becomes -10, so an increment of 10 allows nothing.
  connection.send(settings({ [INITIAL_WINDOW_SIZE]: 0 }), frame(WINDOW_UPDATE, 0, id, uint32(10)))
  connection.send(frame(PING, 0, 0, Buffer.alloc(8)))
  const before = connection.frames.length
  await connection.next(PING)
  t.notOk(connection.frames.slice(before).some(({ type }) => type === DATA))
  connection.send(frame(WINDOW_UPDATE, 0, id, uint32(5)))
  await receive(5)
  connection.send(settings({ [INITIAL_WINDOW_SIZE]: 65_535 }))
  const last = await receive(whole.length - 26)
  t.equal(last.flags, END_STREAM)
  t.ok(Buffer.concat(received).equals(whole))
  connection.send(response(id, 'ok'))
  t.equal((await sending).toString(), 'ok')
})

t.test('calls share the window of the connection', async t => {
  const { connection, transport, call } = await startCall(t, {}, { [INITIAL_WINDOW_SIZE]: 1_000_000 })
  connection.send(response(await connection.request(), 'ok'))
  await call
  const bodies = [Buffer.alloc(60_000, 1), Buffer.alloc(60_000, 2)]
  const sending = bodies.map(body => echo(transport, { body }))
  const ids = [await connection.request(), await connection.request()]
  const data = () => connection.frames.filter(({ type }) => type === DATA)
  const received = () => data().reduce((sum, { payload }) => sum + payload.length, 0)
  await connection.until(() => received() >= 65_535)
  t.equal(received(), 65_535, 'exactly the window')
  connection.send(frame(WINDOW_UPDATE, 0, 0, uint32(100_000)))
  await connection.until(() => data().filter(({ flags }) => flags === END_STREAM).length === 3)
  for (const [index, id] of ids.entries()) {
    const sent = connection.frames.filter(({ type, streamId }) => type === DATA && streamId === id)
    t.ok(Buffer.concat(sent.map(({ payload }) => payload)).equals(message(bodies[index] as Buffer)))
    connection.send(response(id, 'ok', false))
  }
  await Promise.all(sending)
})

t.test('a response before the end of the request completes the call and resets the stream with CANCEL', async t => {
  const { connection, transport, call } = await startCall(t, {}, { [INITIAL_WINDOW_SIZE]: 10 })
  connection.send(response(await connection.request(), 'ok'))
  await call
  const early = echo(transport, { body: Buffer.alloc(1000) })
  const id = await connection.request()
  connection.send(response(id, 'early', false))
  t.equal((await early).toString(), 'early')
  t.equal((await connection.next(RST_STREAM))?.payload.readUInt32BE(0), 8)
})

t.test('metadata larger than a frame continues in CONTINUATION frames', async t => {
  const { connection, transport, call } = await startCall(t)
  connection.send(response(await connection.request(), 'ok'))
  await call
  const large = echo(transport, { metadata: { 'x-large': 'v'.repeat(40_000) } })
  const id = await connection.request()
  t.equal((await connection.next(CONTINUATION))?.flags, 0)
  t.equal((await connection.next(CONTINUATION))?.flags, END_HEADERS)
  connection.send(response(id, 'ok', false))
  t.equal((await large).toString(), 'ok')
})

t.test('metadata above SETTINGS_MAX_HEADER_LIST_SIZE of the server fails the call before it is sent', async t => {
  const { connection, transport, call } = await startCall(t, {}, { [MAX_HEADER_LIST_SIZE]: 2000 })
  connection.send(response(await connection.request(), 'ok'))
  await call
  const error = await rejectionOf(echo(transport, { metadata: { 'x-large': 'v'.repeat(2000) } }))
  t.match(error, { code: Code.RESOURCE_EXHAUSTED, reason: 'headers_too_large' })
})

t.test('partial responses share one buffer limit per connection', async t => {
  const { connection, transport, call } = await startCall(t, { maxBufferedLength: 50_000 })
  const second = rejectionOf(echo(transport))
  const ids = [await connection.request(), await connection.request()]
  call.catch(() => {})
  const part = Buffer.concat([Buffer.from([0]), uint32(90_000), Buffer.alloc(16_000)])
  for (const id of ids) {
    connection.send(
      frame(HEADERS, END_HEADERS, id, Buffer.concat([SIZE_UPDATE, RESPONSE_HEADERS])),
      frame(DATA, 0, id, part),
    )
  }
  for (let sent = 0; sent < 4; sent++) connection.send(frame(DATA, 0, ids[1] as number, Buffer.alloc(16_000)))
  t.equal((await second).code, Code.UNAVAILABLE)
})

t.test('complete messages count against the buffer limit until their stream ends', async t => {
  const { connection, transport, call } = await startCall(t, { maxBufferedLength: 40_000 })
  const whole = Buffer.concat([Buffer.from([0]), uint32(15_000), Buffer.alloc(15_000)])
  const open = (id: number, first: boolean) =>
    connection.send(
      frame(HEADERS, END_HEADERS, id, first ? Buffer.concat([SIZE_UPDATE, RESPONSE_HEADERS]) : RESPONSE_HEADERS),
      frame(DATA, 0, id, whole),
    )
  const end = (id: number) => connection.send(frame(HEADERS, END_HEADERS | END_STREAM, id, TRAILERS))
  const first = await connection.request()
  const second = echo(transport)
  const third = rejectionOf(echo(transport))
  const ids = [await connection.request(), await connection.request()] as const
  open(first, true)
  for (const id of ids) open(id, false)
  t.equal((await third).code, Code.UNAVAILABLE)
  end(first)
  t.equal((await call).length, 15_000)
  const fourth = echo(transport)
  const last = await connection.request()
  open(last, false)
  for (const id of [ids[0], last]) end(id)
  t.same([(await second).length, (await fourth).length], [15_000, 15_000])
})

t.test('calls to a peer that does not read are queued instead of buffered without bound', async t => {
  const { connection, transport, call } = await startCall(t)
  connection.send(response(await connection.request(), 'ok'))
  await call
  connection.socket.pause()
  const CALLS = 4000
  const metadata = { 'x-large': 'v'.repeat(8000) }
  for (let made = 0; made < CALLS; made++) {
    const cancellation = new Cancellation()
    const cancelled = rejectionOf(echo(transport, { metadata, cancellation }))
    cancellation.cancel()
    await cancelled
    // Lets the socket accept data.
    if (made % 10 === 0) await setImmediate()
  }
  connection.socket.resume()
  const served = echo(transport)
  const isLast = ({ payload }: Frame) => payload.length < 1000
  const request = await connection.next(HEADERS, isLast)
  const sent = connection.frames.filter(({ type }) => type === HEADERS).length
  t.ok(sent < CALLS / 2, `${sent} of ${CALLS} calls were sent: the socket buffers and 1 MiB`)
  connection.send(response(request?.streamId as number, 'ok', false))
  t.equal((await served).toString(), 'ok')
})

t.test('a connection whose PING gets no response is closed', async t => {
  const { connection, call } = await startCall(t, {}, {}, { intervalMs: 20, timeoutMs: 500, withoutCalls: false })
  await connection.request()
  for (let pings = 0; pings < 2; pings++) {
    const ping = (await connection.next(PING)) as Frame
    connection.send(frame(PING, ACK, 0, ping.payload))
  }
  t.equal((await rejectionOf(call)).code, Code.UNAVAILABLE, 'no response to the third PING')
})

t.test('GOAWAY with too_many_pings doubles the keepalive interval of the next connection', async t => {
  const intervalMs = 40
  const keepalive = { intervalMs, timeoutMs: 5000, withoutCalls: false }
  const { peer, connection, call } = await startCall(t, {}, {}, keepalive)
  await connection.request()
  await connection.next(PING)
  connection.send(frame(GOAWAY, 0, 0, Buffer.concat([uint32(1, ENHANCE_YOUR_CALM), Buffer.from('too_many_pings')])))
  const next = await peer.accept()
  await next.handshake()
  const openedAt = performance.now()
  const interrupted = rejectionOf(echo(transportOf(t)))
  await next.request()
  await next.next(PING)
  t.ok(performance.now() - openedAt >= 2 * intervalMs - 2)
  connection.send(response(1, 'ok'))
  await call
  next.socket.destroy()
  await interrupted
})

t.test('a peer that accepts and sends no SETTINGS times out', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const transport = open(t, peer.address, { connectTimeoutMs: 50 })
  t.equal((await rejectionOf(echo(transport))).code, Code.UNAVAILABLE)
})

t.test('close sends GOAWAY with NO_ERROR', async t => {
  const { connection, transport, call } = await startCall(t)
  connection.send(response(await connection.request(), 'ok'))
  await call
  await transport.close()
  t.equal((await connection.next(GOAWAY))?.payload.readUInt32BE(4), 0)
  await connection.ended()
})

t.test('a connection whose stream ids are exhausted drains', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const encoder = createRequestHeaderEncoder({ authority: 'a:1', secure: false, userAgent: 'test' })
  let onOpen = () => {}
  let drained = ''
  const opened = new Promise<void>(resolve => {
    onOpen = resolve
  })
  const connection = new Connection(
    { host: '127.0.0.1', port: peer.port },
    {
      tls: undefined,
      connectTimeoutMs: 1000,
      keepalive: { intervalMs: 1000, timeoutMs: 1000, withoutCalls: false },
      maxConcurrentStreams: 100,
      maxMessageLength: 1000,
      maxBufferedLength: 1000,
      maxHeaderListSize: 1000,
      headerReader: createResponseHeaderReader(1000),
      firstStreamId: 0x7fff_fffd,
    },
    {
      onOpen: () => onOpen(),
      onCapacity() {},
      onDraining(reason) {
        drained = reason
      },
      onClose() {},
    },
  )
  const raw = await peer.accept()
  await raw.handshake()
  await opened
  const received: string[] = []
  const ended = [1, 2].map(
    () =>
      new Promise<void>(resolve => {
        connection.start(encoder.encode('/a.B/C', {}, 1000), Buffer.alloc(0), deadlineIn(1000), {
          onMessage: bytes => received.push(bytes.toString()),
          onEnd: () => resolve(),
        })
      }),
  )
  t.match(drained, /ids are exhausted/)
  t.equal(connection.hasCapacity, false)
  const ids = [await raw.request(), await raw.request()]
  t.same(ids, [0x7fff_fffd, 0x7fff_ffff])
  for (const id of ids) raw.send(response(id, String(id)))
  await Promise.all(ended)
  t.same(received, ids.map(String))
  await raw.ended()
})

// The transport of each test.
const transports = new WeakMap<Test, Transport>()

function transportOf(t: Test): Transport {
  return transports.get(t) as Transport
}

function open(
  t: Test,
  address: string,
  limits: Partial<Http2TransportLimits> = {},
  keepalive?: KeepaliveOptions,
): Transport {
  const transport = createHttp2Transport({
    address,
    maxMessageLength: 100_000,
    keepalive,
    limits: { backoff: { initialMs: 1, maxMs: 10 }, ...limits },
  })
  transports.set(t, transport)
  return transport
}

async function startCall(
  t: Test,
  limits: Partial<Http2TransportLimits> = {},
  peerSettings: Record<number, number> = {},
  keepalive?: KeepaliveOptions,
) {
  const peer = await startRawPeer()
  const transport = open(t, peer.address, limits, keepalive)
  t.teardown(async () => {
    peer.stop()
    await transport.close()
  })
  const call = echo(transport)
  call.catch(() => {})
  const connection: RawConnection = await peer.accept()
  await connection.handshake(peerSettings)
  return { peer, transport, call, connection }
}
