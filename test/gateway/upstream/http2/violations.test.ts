/**
 * Protocol violations of a peer. Each must fail the call with the right status, send the right error code, and leave the
 * transport usable on the next connection or stream.
 */
import t, { type Test } from 'tap'
import { Cancellation } from '../../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import { createHttp2Transport } from '../../../../gateway/upstream/http2/transport.ts'
import type { Transport } from '../../../../gateway/upstream/transport.ts'
import { Code } from '../../../../runtime/status.ts'
import { echo, rejectionOf } from '../../../support/grpc-peers/peer-calls.ts'
import {
  ACK,
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

const MAX_MESSAGE_LENGTH = 100_000
const MAX_HEADER_LIST = 4096
const [PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR] = [1, 3, 5, 6]
const [CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM] = [8, 9, 11]

type Bytes = (streamId: number) => Uint8Array[]

const headers = (id: number, block: Uint8Array, flags = END_HEADERS) =>
  frame(HEADERS, flags, id, Buffer.concat([SIZE_UPDATE, block]))
const responseHeaders = (id: number) => headers(id, RESPONSE_HEADERS)
const trailersOnly = (...fields: [string, string][]): Bytes => {
  const block = headerBlock([':status', '200'], ['content-type', 'application/grpc'], ...fields)
  return id => [headers(id, block, END_HEADERS | END_STREAM)]
}
const headersOnly =
  (...fields: [string, string][]): Bytes =>
  id => [headers(id, headerBlock(...fields))]
const data = (id: number, payload: Uint8Array, flags = 0) => frame(DATA, flags, id, payload)
const trailers = (id: number, block: Uint8Array = TRAILERS) => frame(HEADERS, END_HEADERS | END_STREAM, id, block)

/** Each closes the connection with GOAWAY and this code; the call is UNAVAILABLE. */
const CONNECTION_ERRORS: [name: string, goaway: number, bytes: Bytes][] = [
  ['DATA without a stream', PROTOCOL_ERROR, () => [data(0, message('x'))]],
  ['HEADERS without a stream', PROTOCOL_ERROR, () => [headers(0, RESPONSE_HEADERS)]],
  ['HEADERS on an idle stream', PROTOCOL_ERROR, () => [headers(101, RESPONSE_HEADERS)]],
  ['DATA on an idle stream', PROTOCOL_ERROR, () => [data(101, message('x'))]],
  ['HEADERS on a server stream', PROTOCOL_ERROR, () => [headers(2, RESPONSE_HEADERS)]],
  ['RST_STREAM on an idle stream', PROTOCOL_ERROR, () => [frame(RST_STREAM, 0, 101, uint32(8))]],
  ['RST_STREAM without a stream', PROTOCOL_ERROR, () => [frame(RST_STREAM, 0, 0, uint32(8))]],
  ['RST_STREAM that is too short', FRAME_SIZE_ERROR, id => [frame(RST_STREAM, 0, id, Buffer.alloc(3))]],
  ['WINDOW_UPDATE on an idle stream', PROTOCOL_ERROR, () => [frame(WINDOW_UPDATE, 0, 101, uint32(1))]],
  ['WINDOW_UPDATE of 0', PROTOCOL_ERROR, () => [frame(WINDOW_UPDATE, 0, 0, uint32(0))]],
  ['WINDOW_UPDATE that is too long', FRAME_SIZE_ERROR, () => [frame(WINDOW_UPDATE, 0, 0, uint32(1, 1))]],
  ['a connection window over 2^31-1', FLOW_CONTROL_ERROR, () => [frame(WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff))]],
  ['PUSH_PROMISE', PROTOCOL_ERROR, id => [frame(5, END_HEADERS, id, Buffer.concat([uint32(2), RESPONSE_HEADERS]))]],
  ['PRIORITY that is too short', FRAME_SIZE_ERROR, id => [frame(2, 0, id, Buffer.alloc(4))]],
  ['PRIORITY without a stream', PROTOCOL_ERROR, () => [frame(2, 0, 0, Buffer.alloc(5))]],
  ['PING on a stream', PROTOCOL_ERROR, id => [frame(PING, 0, id, Buffer.alloc(8))]],
  ['PING that is too short', FRAME_SIZE_ERROR, () => [frame(PING, 0, 0, Buffer.alloc(7))]],
  ['SETTINGS on a stream', PROTOCOL_ERROR, id => [frame(SETTINGS, 0, id)]],
  ['truncated SETTINGS', FRAME_SIZE_ERROR, () => [frame(SETTINGS, 0, 0, Buffer.alloc(5))]],
  ['SETTINGS with ACK and a payload', FRAME_SIZE_ERROR, () => [frame(SETTINGS, ACK, 0, Buffer.alloc(6))]],
  ['SETTINGS that enable push', PROTOCOL_ERROR, () => [settings({ 2: 1 })]],
  ['SETTINGS with a window over 2^31-1', FLOW_CONTROL_ERROR, () => [settings({ 4: 0x8000_0000 })]],
  ['SETTINGS with a frame size of 16,383', PROTOCOL_ERROR, () => [settings({ 5: 16_383 })]],
  ['SETTINGS with a frame size of 2^24', PROTOCOL_ERROR, () => [settings({ 5: 2 ** 24 })]],
  [
    'SETTINGS that raise a stream window over 2^31-1',
    FLOW_CONTROL_ERROR,
    id => [frame(WINDOW_UPDATE, 0, id, uint32(0x7fff_0000)), settings({ 4: 0x7fff_ffff })],
  ],
  ['GOAWAY on a stream', PROTOCOL_ERROR, id => [frame(GOAWAY, 0, id, uint32(0, 0))]],
  ['GOAWAY that is too short', FRAME_SIZE_ERROR, () => [frame(GOAWAY, 0, 0, uint32(0))]],
  [
    'GOAWAY that raises the last stream id',
    PROTOCOL_ERROR,
    id => [1, 3].map(n => frame(GOAWAY, 0, 0, uint32(id * n, 0))),
  ],
  ['a frame over 16,384 bytes', FRAME_SIZE_ERROR, id => [data(id, Buffer.alloc(16_385))]],
  ['a frame header with a length of 16 MiB', FRAME_SIZE_ERROR, id => [data(id, Buffer.alloc(0)).fill(0xff, 0, 3)]],
  ['CONTINUATION without HEADERS', PROTOCOL_ERROR, id => [frame(CONTINUATION, END_HEADERS, id, RESPONSE_HEADERS)]],
  [
    'PING between HEADERS and CONTINUATION',
    PROTOCOL_ERROR,
    id => [headers(id, RESPONSE_HEADERS, 0), frame(PING, 0, 0, uint32(0, 0))],
  ],
  [
    'CONTINUATION on another stream',
    PROTOCOL_ERROR,
    id => [headers(id, RESPONSE_HEADERS, 0), frame(CONTINUATION, END_HEADERS, id + 2)],
  ],
  [
    'an endless header block',
    ENHANCE_YOUR_CALM,
    id => [headers(id, RESPONSE_HEADERS, 0), ...Array(5).fill(frame(CONTINUATION, 0, id, Buffer.alloc(1024, 0x88)))],
  ],
  [
    'endless empty CONTINUATION frames',
    ENHANCE_YOUR_CALM,
    id => [headers(id, RESPONSE_HEADERS, 0), ...Array(1000).fill(frame(CONTINUATION, 0, id))],
  ],
  ['a padded frame without a pad length', FRAME_SIZE_ERROR, id => [data(id, Buffer.alloc(0), PADDED)]],
  ['more padding than payload', PROTOCOL_ERROR, id => [data(id, Buffer.from([200, 1, 2]), PADDED)]],
  [
    'HEADERS too short for its priority fields',
    FRAME_SIZE_ERROR,
    id => [frame(HEADERS, END_HEADERS | PRIORITIZED, id, Buffer.alloc(4))],
  ],
  [
    'a table size update above the initial 4,096 octets',
    COMPRESSION_ERROR,
    id => [trailers(id, Buffer.from([0x3f, 0xe2, 0x1f, 0x88]))],
  ],
  ['a table size update after a field', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x88, 0x20]))]],
  ['an index into the empty dynamic table', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x80 | 62]))]],
  ['the index 0', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x80]))]],
  ['an endless integer', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0xff, ...Array(12).fill(0xff)]))]],
  ['a string longer than its header block', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x00, 0x05, 0x61]))]],
  ['a header block truncated within a field', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x88, 0x00]))]],
  ['EOS in Huffman code', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x08, 0x84, 0xff, 0xff, 0xff, 0xff]))]],
  ['Huffman padding of a whole octet', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x08, 0x82, 0x07, 0xff]))]],
  ['Huffman padding of zeros', COMPRESSION_ERROR, id => [headers(id, Buffer.from([0x08, 0x81, 0x00]))]],
]

/** Each fails its call only. The stream is reset with the code `reset`; undefined if the peer has closed the stream. */
const STREAM_ERRORS: [name: string, reset: number | undefined, code: Code, bytes: Bytes][] = [
  ['DATA before HEADERS', PROTOCOL_ERROR, Code.INTERNAL, id => [data(id, message('x'))]],
  ['trailers with :status', PROTOCOL_ERROR, Code.INTERNAL, id => [responseHeaders(id), trailers(id, RESPONSE_HEADERS)]],
  [
    'trailers without END_STREAM',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    id => [responseHeaders(id), frame(HEADERS, END_HEADERS, id, TRAILERS)],
  ],
  ['headers without :status', PROTOCOL_ERROR, Code.INTERNAL, headersOnly(['content-type', 'application/grpc'])],
  ['duplicate :status', PROTOCOL_ERROR, Code.INTERNAL, headersOnly([':status', '200'], [':status', '200'])],
  [':status after a regular header', PROTOCOL_ERROR, Code.INTERNAL, headersOnly(['a', 'b'], [':status', '200'])],
  ['a :status that is not a number', PROTOCOL_ERROR, Code.INTERNAL, headersOnly([':status', '2x0'])],
  [':path in a response', PROTOCOL_ERROR, Code.INTERNAL, headersOnly([':status', '200'], [':path', '/'])],
  ['a header name in upper case', PROTOCOL_ERROR, Code.INTERNAL, headersOnly([':status', '200'], ['Upper', 'x'])],
  [
    'a line break in the content type',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    headersOnly([':status', '200'], ['content-type', 'application/grpc\r\nx']),
  ],
  ['the header connection', PROTOCOL_ERROR, Code.INTERNAL, headersOnly([':status', '200'], ['connection', 'close'])],
  [
    'the header transfer-encoding',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    headersOnly([':status', '200'], ['transfer-encoding', 'chunked']),
  ],
  ['HTTP status 101', PROTOCOL_ERROR, Code.INTERNAL, headersOnly([':status', '101'])],
  [
    'duplicate grpc-status',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    id => [
      responseHeaders(id),
      data(id, message('x')),
      trailers(id, Buffer.concat([TRAILERS, headerBlock(['grpc-status', '5'])])),
    ],
  ],
  [
    'a header list over the maximum size',
    ENHANCE_YOUR_CALM,
    Code.INTERNAL,
    headersOnly([':status', '200'], ...Array.from({ length: 200 }, (): [string, string] => ['a', 'b'])),
  ],
  [
    'a wrong content-length',
    PROTOCOL_ERROR,
    Code.INTERNAL,
    id => [
      headers(id, Buffer.concat([RESPONSE_HEADERS, headerBlock(['content-length', '99'])])),
      data(id, message('x')),
      trailers(id),
    ],
  ],
  ['HTTP 200 with text/html', CANCEL, Code.UNKNOWN, headersOnly([':status', '200'], ['content-type', 'text/html'])],
  [
    'HTTP 404 with text/html',
    CANCEL,
    Code.UNIMPLEMENTED,
    headersOnly([':status', '404'], ['content-type', 'text/html']),
  ],
  ['HTTP 503 without content type', CANCEL, Code.UNAVAILABLE, headersOnly([':status', '503'])],
  ['HTTP 401 without content type', CANCEL, Code.UNAUTHENTICATED, headersOnly([':status', '401'])],
  [
    'content type application/grpc-web',
    CANCEL,
    Code.UNKNOWN,
    headersOnly([':status', '200'], ['content-type', 'application/grpc-web']),
  ],
  ['an unknown message flag', CANCEL, Code.INTERNAL, id => [responseHeaders(id), data(id, message('x', 2))]],
  [
    'a compressed message without grpc-encoding',
    CANCEL,
    Code.INTERNAL,
    id => [responseHeaders(id), data(id, message('x', 1))],
  ],
  [
    'a message over the maximum length',
    CANCEL,
    Code.RESOURCE_EXHAUSTED,
    id => [responseHeaders(id), data(id, Buffer.concat([Buffer.from([0]), uint32(MAX_MESSAGE_LENGTH + 1)]))],
  ],
  [
    'two messages in the response of a unary call',
    CANCEL,
    Code.UNIMPLEMENTED,
    id => [responseHeaders(id), data(id, message('x')), data(id, message('y'))],
  ],
  [
    'endless empty DATA frames',
    ENHANCE_YOUR_CALM,
    Code.INTERNAL,
    id => [responseHeaders(id), ...Array(1000).fill(data(id, Buffer.alloc(0)))],
  ],
  ['a stream WINDOW_UPDATE of 0', PROTOCOL_ERROR, Code.INTERNAL, id => [frame(WINDOW_UPDATE, 0, id, uint32(0))]],
  [
    'a stream window over 2^31-1',
    FLOW_CONTROL_ERROR,
    Code.INTERNAL,
    id => [frame(WINDOW_UPDATE, 0, id, uint32(0x7fff_ffff))],
  ],
  ['OK without a message', undefined, Code.UNIMPLEMENTED, trailersOnly(['grpc-status', '0'])],
  ['trailers without grpc-status', undefined, Code.UNKNOWN, trailersOnly()],
  ['END_STREAM on DATA', undefined, Code.UNKNOWN, id => [responseHeaders(id), data(id, message('x'), END_STREAM)]],
  ['a grpc-status out of range', undefined, Code.UNKNOWN, trailersOnly(['grpc-status', '17'])],
  ['a grpc-status with a leading zero', undefined, Code.UNKNOWN, trailersOnly(['grpc-status', '05'])],
  [
    'a truncated message',
    undefined,
    Code.INTERNAL,
    id => [responseHeaders(id), data(id, message('xyz').subarray(0, 6)), trailers(id)],
  ],
  [
    'invalid gzip',
    undefined,
    Code.INTERNAL,
    id => [
      headers(id, Buffer.concat([RESPONSE_HEADERS, headerBlock(['grpc-encoding', 'gzip'])])),
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

/** Unusual but valid. The call succeeds. */
const TOLERATED: [name: string, bytes: Bytes][] = [
  ['a frame of an unknown type', id => [frame(0xee, 0xff, id, Buffer.alloc(100)), response(id, 'ok')]],
  ['an unknown setting', id => [settings({ 4242: 7 }), response(id, 'ok')]],
  ['PING', id => [frame(PING, 0, 0, Buffer.from('12345678')), response(id, 'ok')]],
  ['PRIORITY on an idle stream', id => [frame(2, 0, 77, Buffer.alloc(5)), response(id, 'ok')]],
  ['reserved bits', id => [responseHeaders(id), data(id, message('ok')), trailers(id)].map(withReservedBit)],
  [
    'padding',
    id => [
      frame(
        HEADERS,
        END_HEADERS | PADDED | PRIORITIZED,
        id,
        Buffer.concat([Buffer.from([9, 0, 0, 0, 0, 7]), SIZE_UPDATE, RESPONSE_HEADERS, Buffer.alloc(9)]),
      ),
      data(id, Buffer.concat([Buffer.from([255]), message('ok'), Buffer.alloc(255)]), PADDED),
      trailers(id),
    ],
  ],
  [
    'headers with names of Object.prototype',
    id => [
      headers(
        id,
        Buffer.concat([RESPONSE_HEADERS, headerBlock(['constructor', 'x'], ['__proto__', 'x'], ['tostring', 'x'])]),
      ),
      data(id, message('ok')),
      trailers(id, Buffer.concat([TRAILERS, headerBlock(['constructor', 'x'], ['__proto__', 'x'])])),
    ],
  ],
  ['an interim response', id => [headers(id, headerBlock([':status', '103'])), response(id, 'ok')]],
  [
    'a header block in frames of one octet',
    id => [
      headers(id, Buffer.alloc(0), 0),
      ...[...RESPONSE_HEADERS].map((byte, at) =>
        frame(CONTINUATION, at === RESPONSE_HEADERS.length - 1 ? END_HEADERS : 0, id, Buffer.from([byte])),
      ),
      data(id, message('ok')),
      trailers(id),
    ],
  ],
  [
    'a message in frames of one octet',
    id => [responseHeaders(id), ...[...message('ok')].map(byte => data(id, Buffer.from([byte]))), trailers(id)],
  ],
  [
    'a literal with incremental indexing, which a table of size 0 does not store',
    id => [
      headers(
        id,
        RESPONSE_HEADERS.map((byte, at) => (at === 0 ? 0x40 : byte)),
      ),
      data(id, message('ok')),
      trailers(id),
    ],
  ],
  [
    'trailers with invalid grpc-status-details-bin',
    id => [
      responseHeaders(id),
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
  t.test(`a connection error of the peer closes the connection: ${name}`, async t => {
    const { call, connection, reconnect, transport } = await startCall(t)
    connection.send(...bytes(await connection.request()))
    t.equal((await rejectionOf(call)).code, Code.UNAVAILABLE)
    t.equal((await connection.next(GOAWAY))?.payload.readUInt32BE(4), goaway)
    connection.socket.end()
    await reconnect()
    t.equal((await echo(transport)).toString(), 'on')
  })
}

for (const [name, reset, code, bytes] of STREAM_ERRORS) {
  t.test(`a stream error of the peer fails its call only: ${name}`, async t => {
    const { call, connection, transport } = await startCall(t)
    const id = await connection.request()
    connection.send(...bytes(id))
    t.equal((await rejectionOf(call)).code, code)
    if (reset !== undefined) t.equal((await connection.next(RST_STREAM))?.payload.readUInt32BE(0), reset)
    const next = echo(transport)
    connection.send(response(await connection.request(), 'same'))
    t.equal((await next).toString(), 'same', 'the connection stays usable')
    t.equal(connection.closed, false)
  })
}

for (const [name, bytes] of TOLERATED) {
  t.test(`an unusual but valid response is accepted: ${name}`, async t => {
    const { call, connection } = await startCall(t)
    connection.send(...bytes(await connection.request()))
    t.equal((await call).toString(), 'ok')
  })
}

t.test('a call to a peer whose first frame is not SETTINGS is UNAVAILABLE', async t => {
  for (const hello of ['HTTP/1.1 400 Bad Request\r\n\r\n', '220 mail ESMTP\r\n', frame(PING, 0, 0, Buffer.alloc(8))]) {
    const peer = await startRawPeer()
    t.teardown(() => peer.stop())
    const transport = createHttp2Transport({ address: peer.address, maxMessageLength: MAX_MESSAGE_LENGTH })
    t.teardown(() => transport.close())
    const call = rejectionOf(echo(transport))
    ;(await peer.accept()).socket.end(hello)
    t.equal((await call).code, Code.UNAVAILABLE)
  }
})

t.test('frames on the stream of a cancelled call are ignored', async t => {
  const { call, connection, transport, cancellation } = await startCall(t)
  const id = await connection.request()
  cancellation.cancel()
  t.equal((await rejectionOf(call)).code, Code.CANCELLED)
  await connection.next(RST_STREAM)
  connection.send(response(id, 'late'), frame(RST_STREAM, 0, id, uint32(8)), frame(WINDOW_UPDATE, 0, id, uint32(1)))
  const next = echo(transport)
  connection.send(response(await connection.request(), 'next', false))
  t.equal((await next).toString(), 'next', 'the next call gets its own response')
})

t.test('DATA on a stream that the peer has closed is a STREAM_CLOSED connection error', async t => {
  const { call, connection } = await startCall(t)
  const id = await connection.request()
  connection.send(response(id, 'ok'), data(id, message('more')))
  t.equal((await call).toString(), 'ok')
  t.equal((await connection.next(GOAWAY))?.payload.readUInt32BE(4), STREAM_CLOSED)
})

t.test('WINDOW_UPDATEs keep a long response flowing and never exceed the initial window', async t => {
  const { call, connection } = await startCall(t, { maxMessageLength: 64 * 1024 * 1024 })
  const id = await connection.request()
  let window = 1024 * 1024
  let left = 8 * 1024 * 1024
  let sent = 0
  connection.send(responseHeaders(id))
  const body = Buffer.concat([Buffer.from([0]), uint32(left - 5), Buffer.alloc(left - 5, 1)])
  while (left > 0) {
    while (window > 0 && left > 0) {
      const length = Math.min(16_384, window, left)
      connection.send(data(id, body.subarray(sent, sent + length)))
      sent += length
      window -= length
      left -= length
    }
    if (left > 0)
      window += (await connection.next(WINDOW_UPDATE, frame => frame.streamId === id))?.payload.readUInt32BE(0) ?? 0
    t.ok(window <= 1024 * 1024)
  }
  connection.send(trailers(id))
  t.equal((await call).length, body.length - 5)
})

t.test('a peer that sends PINGs without reading the replies is disconnected', async t => {
  const { call, connection } = await startCall(t)
  await connection.request()
  connection.socket.pause()
  const pings = Buffer.concat(Array(4096).fill(frame(PING, 0, 0, Buffer.alloc(8))))
  let ended = false
  const failed = rejectionOf(call).then(error => {
    ended = true
    return error
  })
  while (!ended) {
    if (!connection.socket.write(pings))
      await Promise.race([failed, new Promise(r => connection.socket.once('drain', r))])
  }
  t.equal((await failed).code, Code.UNAVAILABLE)
})

interface Fixture {
  transport: Transport
  /** The first call. Its request has been sent. */
  call: Promise<Buffer>
  cancellation: Cancellation
  connection: RawConnection
  /** Accepts the next connection of the client and responds to every call on it. */
  reconnect(): Promise<void>
}

async function startCall(t: Test, { maxMessageLength = MAX_MESSAGE_LENGTH } = {}): Promise<Fixture> {
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
  const call = echo(transport, { cancellation, deadline: deadlineIn(20_000) })
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
        for (let first = true; ; first = false) next.send(response(await next.request(), 'on', first))
      })().catch(() => {})
    },
  }
}
