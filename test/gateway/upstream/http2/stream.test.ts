import t from 'tap'
import { Code } from '#runtime/status.ts'
import { DynamicTable } from '../../../../gateway/upstream/http2/hpack/dynamic-table.ts'
import { createResponseHeaderReader } from '../../../../gateway/upstream/http2/response-headers.ts'
import { Stream } from '../../../../gateway/upstream/http2/stream.ts'
import { message, RESPONSE_HEADERS } from '../../../support/grpc-peers/raw-peer.ts'

const WINDOW = 1000
const flowControlError = { name: 'StreamError', http2Code: 3, status: { code: Code.INTERNAL } }

/** A stream that has received response headers. */
function openStream() {
  const received: number[] = []
  const sink = { onMessage: (bytes: Buffer) => received.push(bytes.length), onEnd() {} }
  const limits = { maxMessageLength: 10 * WINDOW, window: WINDOW }
  const stream = new Stream(1, Buffer.alloc(0), Infinity, 0, sink, limits, { remaining: 100 * WINDOW })
  stream.receiveHeaders(
    createResponseHeaderReader(1000).read(RESPONSE_HEADERS, 0, RESPONSE_HEADERS.length, new DynamicTable()),
    false,
  )
  return {
    stream,
    received,
    /** Receives a message of `length` octets with its prefix, followed by padding. */
    receive(length: number, padding = 0) {
      const data = message(Buffer.alloc(length - 5))
      stream.receiveData(data, 0, length, length + padding, false)
    },
  }
}

t.test('the peer may use the whole window of a stream, and replenish restores it', async t => {
  const { stream, received, receive } = openStream()
  for (let times = 0; times < 3; times++) {
    receive(WINDOW)
    t.equal(stream.replenish(), WINDOW)
  }
  t.same(received, Array(3).fill(WINDOW - 5))
})

t.test('replenish returns an increment when half of the window of a stream is used, not before', async t => {
  const { stream, receive } = openStream()
  receive(WINDOW / 2 - 10)
  t.equal(stream.replenish(), 0)
  receive(10)
  t.equal(stream.replenish(), WINDOW / 2)
})

t.test('one octet more than the window of a stream is a FLOW_CONTROL_ERROR', async t => {
  const { received, receive } = openStream()
  receive(10)
  t.throws(() => receive(WINDOW - 9), flowControlError)
  t.same(received, [5], 'the sink does not receive the message')
})

t.test('padding counts against the window of a stream', async t => {
  openStream().receive(10, WINDOW - 10)
  t.throws(() => openStream().receive(10, WINDOW - 9), flowControlError)
})
