/**
 * What a peer can do wrong, and how it ends: with the right error of the call, the right error code on the wire, and a
 * transport that goes on with the next connection or the next stream.
 */
import t, { type Test } from 'tap'
import { Cancellation } from '../../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import { createHttp2Transport } from '../../../../gateway/upstream/http2/transport.ts'
import type { Transport } from '../../../../gateway/upstream/transport.ts'
import { Code, type StatusError } from '../../../../runtime/status.ts'
import {
  ACK,
  answer,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  GOAWAY,
  HEADERS,
  headerBlock,
  message,
  PADDED,
  PING,
  PRIORITIZED,
  type RawConnection,
  RESPONSE,
  RST_STREAM,
  SETTINGS,
  SIZE_UPDATE,
  settings,
  startRawPeer,
  TRAILERS,
  uint32,
  WINDOW_UPDATE,
} from '../../../support/grpc-peers/raw-peer.ts'

const MAX_MESSAGE_LENGTH = 100_000
const MAX_HEADER_LIST = 4096
const [PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR] = [1, 3, 5, 6]
const [CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM] = [8, 9, 11]

type Bytes = (streamId: number) => Uint8Array[]

const headers = (id: number, block: Uint8Array, flags = END_HEADERS) =>
  frame(HEADERS, flags, id, Buffer.concat([SIZE_UPDATE, block]))
const response = (id: number) => headers(id, RESPONSE)
const trailersOnly = (...fields: [string, string][]): Bytes => {
  const block = headerBlock([':status', '200'], ['content-type', 'application/grpc'], ...fields)
  return id => [headers(id, block, END_HEADERS | END_STREAM)]
}
const oneHead =
  (...fields: [string, string][]): Bytes =>
  id => [headers(id, headerBlock(...fields))]
const data = (id: number, payload: Uint8Array, flags = 0) => frame(DATA, flags, id, payload)
const trailers = (id: number, block: Uint8Array = TRAILERS) => frame(HEADERS, END_HEADERS | END_STREAM, id, block)

/** Each ends the connection. What the peer sees is GOAWAY with this code; the call is UNAVAILABLE. */
const CONNECTION_ERRORS: [name: string, goaway: number, bytes: Bytes][] = [
  ['DATA without a stream', PROTOCOL_ERROR, () => [data(0, message('x'))]],
  ['HEADERS without a stream', PROTOCOL_ERROR, () => [headers(0, RESPONSE)]],
  ['HEADERS on a stream that is not open', PROTOCOL_ERROR, () => [headers(101, RESPONSE)]],
  ['DATA on a stream that is not open', PROTOCOL_ERROR, () => [data(101, message('x'))]],
  ['HEADERS on a stream of the server', PROTOCOL_ERROR, () => [headers(2, RESPONSE)]],
  ['RST_STREAM on a stream that is not open', PROTOCOL_ERROR, () => [frame(RST_STREAM, 0, 101, uint32(8))]],
  ['RST_STREAM without a stream', PROTOCOL_ERROR, () => [frame(RST_STREAM, 0, 0, uint32(8))]],
  ['RST_STREAM that is too short', FRAME_SIZE_ERROR, id => [frame(RST_STREAM, 0, id, Buffer.alloc(3))]],
  ['WINDOW_UPDATE on a stream that is not open', PROTOCOL_ERROR, () => [frame(WINDOW_UPDATE, 0, 101, uint32(1))]],
  ['WINDOW_UPDATE of 0', PROTOCOL_ERROR, () => [frame(WINDOW_UPDATE, 0, 0, uint32(0))]],
  ['WINDOW_UPDATE that is too long', FRAME_SIZE_ERROR, () => [frame(WINDOW_UPDATE, 0, 0, uint32(1, 1))]],
  ['a window over 2^31-1', FLOW_CONTROL_ERROR, () => [frame(WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff))]],
  ['PUSH_PROMISE', PROTOCOL_ERROR, id => [frame(5, END_HEADERS, id, Buffer.concat([uint32(2), RESPONSE]))]],
  ['PRIORITY that is too short', FRAME_SIZE_ERROR, id => [frame(2, 0, id, Buffer.alloc(4))]],
  ['PRIORITY without a stream', PROTOCOL_ERROR, () => [frame(2, 0, 0, Buffer.alloc(5))]],
  ['PING on a stream', PROTOCOL_ERROR, id => [frame(PING, 0, id, Buffer.alloc(8))]],
  ['PING that is too short', FRAME_SIZE_ERROR, () => [frame(PING, 0, 0, Buffer.alloc(7))]],
  ['SETTINGS on a stream', PROTOCOL_ERROR, id => [frame(SETTINGS, 0, id)]],
  ['SETTINGS that are cut short', FRAME_SIZE_ERROR, () => [frame(SETTINGS, 0, 0, Buffer.alloc(5))]],
  ['an ACK of settings with settings', FRAME_SIZE_ERROR, () => [frame(SETTINGS, ACK, 0, Buffer.alloc(6))]],
  ['SETTINGS that enable push', PROTOCOL_ERROR, () => [settings({ 2: 1 })]],
  ['SETTINGS with a window over 2^31-1', FLOW_CONTROL_ERROR, () => [settings({ 4: 0x8000_0000 })]],
  ['SETTINGS with a frame size of 16,383', PROTOCOL_ERROR, () => [settings({ 5: 16_383 })]],
  ['SETTINGS with a frame size of 2^24', PROTOCOL_ERROR, () => [settings({ 5: 2 ** 24 })]],
  [
    'SETTINGS that push a stream window over 2^31-1',
    FLOW_CONTROL_ERROR,
    id => [frame(WINDOW_UPDATE, 0, id, uint32(0x7fff_0000)), settings({ 4: 0x7fff_ffff })],
  ],
  ['GOAWAY on a stream', PROTOCOL_ERROR, id => [frame(GOAWAY, 0, id, uint32(0, 0))]],
  ['GOAWAY that is too short', FRAME_SIZE_ERROR, () => [frame(GOAWAY, 0, 0, uint32(0))]],
  ['GOAWAY that takes streams back', PROTOCOL_ERROR, id => [1, 3].map(n => frame(GOAWAY, 0, 0, uint32(id * n, 0)))],
  ['a frame over 16,384 bytes', FRAME_SIZE_ERROR, id => [data(id, Buffer.alloc(16_385))]],
  ['a header of a frame of 16 MB', FRAME_SIZE_ERROR, id => [data(id, Buffer.alloc(0)).fill(0xff, 0, 3)]],
  ['CONTINUATION of nothing', PROTOCOL_ERROR, id => [frame(CONTINUATION, END_HEADERS, id, RESPONSE)]],
  ['a frame within a header block', PROTOCOL_ERROR, id => [headers(id, RESPONSE, 0), frame(PING, 0, 0, uint32(0, 0))]],
  [
    'CONTINUATION of another stream',
    PROTOCOL_ERROR,
    id => [headers(id, RESPONSE, 0), frame(CONTINUATION, END_HEADERS, id + 2)],
  ],
  [
    'an endless header block',
    ENHANCE_YOUR_CALM,
    id => [headers(id, RESPONSE, 0), ...Array(5).fill(frame(CONTINUATION, 0, id, Buffer.alloc(1024, 0x88)))],
  ],
  [
    'endless empty CONTINUATION frames',
    ENHANCE_YOUR_CALM,
    id => [headers(id, RESPONSE, 0), ...Array(1000).fill(frame(CONTINUATION, 0, id))],
  ],
  ['a padded frame without a pad length', FRAME_SIZE_ERROR, id => [data(id, Buffer.alloc(0), PADDED)]],
  ['more padding than payload', PROTOCOL_ERROR, id => [data(id, Buffer.from([200, 1, 2]), PADDED)]],
  [
    'HEADERS too short for their priority',
    FRAME_SIZE_ERROR,
    id => [frame(HEADERS, END_HEADERS | PRIORITIZED, id, Buffer.alloc(4))],
  ],
  ['a block that does not begin with the table of size 0', COMPRESSION_ERROR, id => [trailers(id, RESPONSE)]],
  ['a table size above 0', COMPRESSION_ERROR, id => [trailers(id, Buffer.from([0x21, 0x88]))]],
  ['a table size within a block', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x88, 0x20]))]],
  ['an index into the dynamic table', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x80 | 62]))]],
  ['the index 0', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x80]))]],
  ['an endless integer', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0xff, ...Array(12).fill(0xff)]))]],
  ['a string longer than its block', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x00, 0x05, 0x61]))]],
  ['a block cut within a field', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x88, 0x00]))]],
  ['EOS in Huffman code', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x08, 0x84, 0xff, 0xff, 0xff, 0xff]))]],
  ['Huffman padding of a whole octet', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x08, 0x82, 0x07, 0xff]))]],
  ['Huffman padding of zeros', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x08, 0x81, 0x00]))]],
]

/** Each ends its call only, which the peer sees as RST_STREAM with `reset`, or not at all where it had ended it. */
const STREAM_ERRORS: [name: string, reset: number | undefined, code: Code, bytes: Bytes][] = [
  ['data before headers', PROTOCOL_ERROR, Code.INTERNAL, id => [data(id, message('x'))]],
  ['a second head in place of trailers', PROTOCOL_ERROR, Code.INTERNAL, id => [response(id), trailers(id, RESPONSE)]],
  [
    'trailers that do not end the stream',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    id => [response(id), frame(HEADERS, END_HEADERS, id, TRAILERS)],
  ],
  ['a head without :status', PROTOCOL_ERROR, Code.INTERNAL, oneHead(['content-type', 'application/grpc'])],
  ['two :status', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], [':status', '200'])],
  [':status behind a header', PROTOCOL_ERROR, Code.INTERNAL, oneHead(['a', 'b'], [':status', '200'])],
  ['a :status that is no number', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '2x0'])],
  [':path in an answer', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], [':path', '/'])],
  ['a header name in upper case', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], ['Upper', 'x'])],
  ['an empty header name', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], ['', 'x'])],
  ['a line break in a value', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], ['a', 'b\r\nc'])],
  ['connection', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], ['connection', 'close'])],
  ['transfer-encoding', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '200'], ['transfer-encoding', 'chunked'])],
  ['101', PROTOCOL_ERROR, Code.INTERNAL, oneHead([':status', '101'])],
  [
    'two grpc-status',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    id => [
      response(id),
      data(id, message('x')),
      trailers(id, Buffer.concat([TRAILERS, headerBlock(['grpc-status', '5'])])),
    ],
  ],
  [
    'headers over the limit',
    ENHANCE_YOUR_CALM,
    Code.INTERNAL,
    oneHead([':status', '200'], ...Array.from({ length: 200 }, (): [string, string] => ['a', 'b'])),
  ],
  [
    'a wrong content-length',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    id => [
      headers(id, Buffer.concat([RESPONSE, headerBlock(['content-length', '99'])])),
      data(id, message('x')),
      trailers(id),
    ],
  ],
  ['a web page', CANCEL, Code.UNKNOWN, oneHead([':status', '200'], ['content-type', 'text/html'])],
  ['a 404 page', CANCEL, Code.UNIMPLEMENTED, oneHead([':status', '404'], ['content-type', 'text/html'])],
  ['a 503 page', CANCEL, Code.UNAVAILABLE, oneHead([':status', '503'])],
  ['a 401', CANCEL, Code.UNAUTHENTICATED, oneHead([':status', '401'])],
  ['grpc-web', CANCEL, Code.UNKNOWN, oneHead([':status', '200'], ['content-type', 'application/grpc-web'])],
  ['an unknown message flag', CANCEL, Code.INTERNAL, id => [response(id), data(id, message('x', 2))]],
  ['an unasked compression', CANCEL, Code.INTERNAL, id => [response(id), data(id, message('x', 1))]],
  [
    'a message over the limit',
    CANCEL,
    Code.RESOURCE_EXHAUSTED,
    id => [response(id), data(id, Buffer.concat([Buffer.from([0]), uint32(MAX_MESSAGE_LENGTH + 1)]))],
  ],
  ['two messages', CANCEL, Code.UNIMPLEMENTED, id => [response(id), data(id, message('x')), data(id, message('y'))]],
  [
    'endless empty DATA frames',
    ENHANCE_YOUR_CALM,
    Code.INTERNAL,
    id => [response(id), ...Array(1000).fill(data(id, Buffer.alloc(0)))],
  ],
  ['a stream WINDOW_UPDATE of 0', PROTOCOL_ERROR, Code.INTERNAL, id => [frame(WINDOW_UPDATE, 0, id, uint32(0))]],
  [
    'a stream window over 2^31-1',
    FLOW_CONTROL_ERROR,
    Code.INTERNAL,
    id => [frame(WINDOW_UPDATE, 0, id, uint32(0x7fff_ffff))],
  ],
  ['no message', undefined, Code.UNIMPLEMENTED, trailersOnly(['grpc-status', '0'])],
  ['no status', undefined, Code.UNKNOWN, trailersOnly()],
  ['no trailers', undefined, Code.UNKNOWN, id => [response(id), data(id, message('x'), END_STREAM)]],
  ['a status out of range', undefined, Code.UNKNOWN, trailersOnly(['grpc-status', '17'])],
  ['a status that is no number', undefined, Code.UNKNOWN, trailersOnly(['grpc-status', '05'])],
  [
    'a message that is cut short',
    undefined,
    Code.INTERNAL,
    id => [response(id), data(id, message('xyz').subarray(0, 6)), trailers(id)],
  ],
  [
    'broken gzip',
    undefined,
    Code.INTERNAL,
    id => [
      headers(id, Buffer.concat([RESPONSE, headerBlock(['grpc-encoding', 'gzip'])])),
      data(id, message('not gzip', 1)),
      trailers(id),
    ],
  ],
  ['RST_STREAM NO_ERROR', undefined, Code.INTERNAL, id => [frame(RST_STREAM, 0, id, uint32(0))]],
  ['RST_STREAM INTERNAL_ERROR', undefined, Code.INTERNAL, id => [frame(RST_STREAM, 0, id, uint32(2))]],
  ['RST_STREAM CANCEL', undefined, Code.CANCELLED, id => [frame(RST_STREAM, 0, id, uint32(8))]],
  ['RST_STREAM ENHANCE_YOUR_CALM', undefined, Code.RESOURCE_EXHAUSTED, id => [frame(RST_STREAM, 0, id, uint32(11))]],
  ['RST_STREAM INADEQUATE_SECURITY', undefined, Code.PERMISSION_DENIED, id => [frame(RST_STREAM, 0, id, uint32(12))]],
  ['RST_STREAM with an unknown code', undefined, Code.INTERNAL, id => [frame(RST_STREAM, 0, id, uint32(0xdead))]],
]

/** What looks odd and is right. */
const TOLERATED: [name: string, bytes: Bytes][] = [
  ['a frame of an unknown type', id => [frame(0xee, 0xff, id, Buffer.alloc(100)), answer(id, 'ok')]],
  ['an unknown setting', id => [settings({ 4242: 7 }), answer(id, 'ok')]],
  ['PING, which is answered', id => [frame(PING, 0, 0, Buffer.from('12345678')), answer(id, 'ok')]],
  ['PRIORITY on a stream that is not open', id => [frame(2, 0, 77, Buffer.alloc(5)), answer(id, 'ok')]],
  ['reserved bits', id => [response(id), data(id, message('ok')), trailers(id)].map(withReservedBit)],
  [
    'padding',
    id => [
      frame(
        HEADERS,
        END_HEADERS | PADDED | PRIORITIZED,
        id,
        Buffer.concat([Buffer.from([9, 0, 0, 0, 0, 7]), SIZE_UPDATE, RESPONSE, Buffer.alloc(9)]),
      ),
      data(id, Buffer.concat([Buffer.from([255]), message('ok'), Buffer.alloc(255)]), PADDED),
      trailers(id),
    ],
  ],
  [
    'headers named like what objects inherit',
    id => [
      headers(id, Buffer.concat([RESPONSE, headerBlock(['constructor', 'x'], ['__proto__', 'x'], ['tostring', 'x'])])),
      data(id, message('ok')),
      trailers(id, Buffer.concat([TRAILERS, headerBlock(['constructor', 'x'], ['__proto__', 'x'])])),
    ],
  ],
  ['an interim answer', id => [headers(id, headerBlock([':status', '103'])), answer(id, 'ok')]],
  [
    'a block octet by octet',
    id => [
      headers(id, Buffer.alloc(0), 0),
      ...[...RESPONSE].map((byte, at) =>
        frame(CONTINUATION, at === RESPONSE.length - 1 ? END_HEADERS : 0, id, Buffer.from([byte])),
      ),
      data(id, message('ok')),
      trailers(id),
    ],
  ],
  [
    'a message octet by octet',
    id => [response(id), ...[...message('ok')].map(byte => data(id, Buffer.from([byte]))), trailers(id)],
  ],
  [
    'incremental indexing, which a table of size 0 makes a literal',
    id => [
      headers(
        id,
        RESPONSE.map((byte, at) => (at === 0 ? 0x40 : byte)),
      ),
      data(id, message('ok')),
      trailers(id),
    ],
  ],
  [
    'trailers with details that cannot be read',
    id => [
      response(id),
      data(id, message('ok')),
      trailers(id, Buffer.concat([TRAILERS, headerBlock(['grpc-status-details-bin', '!!!'])])),
    ],
  ],
]

function withReservedBit(bytes: Buffer): Buffer {
  bytes[5] = (bytes[5] as number) | 0x80
  return bytes
}

for (const [name, goaway, bytes] of CONNECTION_ERRORS) {
  t.test(`the connection ends: ${name}`, async t => {
    const { call, connection, reconnect, transport } = await begin(t)
    connection.send(...bytes(await connection.request()))
    t.equal((await failure(call)).code, Code.UNAVAILABLE)
    t.equal((await connection.next(GOAWAY))?.payload.readUInt32BE(4), goaway)
    connection.socket.end()
    await reconnect()
    t.equal((await echo(transport)).toString(), 'on')
  })
}

for (const [name, reset, code, bytes] of STREAM_ERRORS) {
  t.test(`the call ends: ${name}`, async t => {
    const { call, connection, transport } = await begin(t)
    const id = await connection.request()
    connection.send(...bytes(id))
    t.equal((await failure(call)).code, code)
    if (reset !== undefined) t.equal((await connection.next(RST_STREAM))?.payload.readUInt32BE(0), reset)
    const next = echo(transport)
    connection.send(answer(await connection.request(), 'same'))
    t.equal((await next).toString(), 'same', 'the connection goes on')
    t.equal(connection.closed, false)
  })
}

for (const [name, bytes] of TOLERATED) {
  t.test(`it is understood: ${name}`, async t => {
    const { call, connection } = await begin(t)
    connection.send(...bytes(await connection.request()))
    t.equal((await call).toString(), 'ok')
  })
}

t.test('a peer that does not begin with its settings is not HTTP/2', async t => {
  for (const hello of ['HTTP/1.1 400 Bad Request\r\n\r\n', '220 mail ESMTP\r\n', frame(PING, 0, 0, Buffer.alloc(8))]) {
    const peer = await startRawPeer()
    t.teardown(() => peer.stop())
    const transport = createHttp2Transport({ address: peer.address, maxMessageLength: MAX_MESSAGE_LENGTH })
    t.teardown(() => transport.close())
    const call = failure(echo(transport))
    ;(await peer.accept()).socket.end(hello)
    t.equal((await call).code, Code.UNAVAILABLE)
  }
})

t.test('frames for a call that was cancelled mean nothing', async t => {
  const { call, connection, transport, cancellation } = await begin(t)
  const id = await connection.request()
  cancellation.cancel()
  t.equal((await failure(call)).code, Code.CANCELLED)
  await connection.next(RST_STREAM)
  connection.send(answer(id, 'late'), frame(RST_STREAM, 0, id, uint32(8)), frame(WINDOW_UPDATE, 0, id, uint32(1)))
  const next = echo(transport)
  connection.send(answer(await connection.request(), 'next', false))
  t.equal((await next).toString(), 'next', 'and are not taken for another')
})

t.test('frames for a call that the peer has ended itself end the connection', async t => {
  const { call, connection } = await begin(t)
  const id = await connection.request()
  connection.send(answer(id, 'ok'), data(id, message('more')))
  t.equal((await call).toString(), 'ok')
  t.equal((await connection.next(GOAWAY))?.payload.readUInt32BE(4), STREAM_CLOSED)
})

t.test('windows are given back while a long answer comes, and not more than that', async t => {
  const { call, connection } = await begin(t, { maxMessageLength: 64 * 1024 * 1024 })
  const id = await connection.request()
  let stream = 1024 * 1024
  let left = 8 * 1024 * 1024
  let sent = 0
  connection.send(response(id))
  const body = Buffer.concat([Buffer.from([0]), uint32(left - 5), Buffer.alloc(left - 5, 1)])
  while (left > 0) {
    while (stream > 0 && left > 0) {
      const length = Math.min(16_384, stream, left)
      connection.send(data(id, body.subarray(sent, sent + length)))
      sent += length
      stream -= length
      left -= length
    }
    if (left > 0)
      stream += (await connection.next(WINDOW_UPDATE, frame => frame.streamId === id))?.payload.readUInt32BE(0) ?? 0
    t.ok(stream <= 1024 * 1024)
  }
  connection.send(trailers(id))
  t.equal((await call).length, body.length - 5)
})

t.test('a peer that asks and does not listen is left', async t => {
  const { call, connection } = await begin(t)
  await connection.request()
  connection.socket.pause()
  const pings = Buffer.concat(Array(4096).fill(frame(PING, 0, 0, Buffer.alloc(8))))
  let ended = false
  const failed = failure(call).then(error => {
    ended = true
    return error
  })
  while (!ended) {
    if (!connection.socket.write(pings))
      await Promise.race([failed, new Promise(r => connection.socket.once('drain', r))])
  }
  t.equal((await failed).code, Code.UNAVAILABLE)
})

interface Begun {
  transport: Transport
  /** A first call, already under way. */
  call: Promise<Buffer>
  cancellation: Cancellation
  connection: RawConnection
  /** Takes the next connection of the client, and answers every call on it. */
  reconnect(): Promise<void>
}

async function begin(t: Test, { maxMessageLength = MAX_MESSAGE_LENGTH } = {}): Promise<Begun> {
  const peer = await startRawPeer()
  const transport = createHttp2Transport({
    address: peer.address,
    maxMessageLength,
    limits: { maxHeaderListSize: MAX_HEADER_LIST, backoff: { initialMs: 1, maxMs: 10 } },
  })
  t.teardown(async () => {
    peer.stop()
    await transport.close()
  })
  const cancellation = new Cancellation()
  const call = echo(transport, cancellation)
  call.catch(() => {})
  const connection = await peer.accept()
  await connection.handshake()
  return {
    transport,
    call,
    cancellation,
    connection,
    async reconnect() {
      const next = await peer.accept()
      await next.handshake()
      void (async () => {
        for (let first = true; ; first = false) next.send(answer(await next.request(), 'on', first))
      })().catch(() => {})
    },
  }
}

function echo(transport: Transport, cancellation?: Cancellation): Promise<Buffer> {
  return transport.unary(
    '/peers.v1.Peer/Echo',
    Buffer.from('x'),
    {},
    deadlineIn(20_000),
    cancellation,
  ) as Promise<Buffer>
}

async function failure(call: Promise<unknown>): Promise<StatusError> {
  try {
    await call
  } catch (error) {
    return error as StatusError
  }
  throw new Error('The call did not fail')
}
