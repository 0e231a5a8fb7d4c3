import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createResponseHeaderReader } from '../../../../gateway/upstream/http2/response-headers.ts'
import { Stream } from '../../../../gateway/upstream/http2/stream.ts'
import { message, RESPONSE } from '../../../support/grpc-peers/raw-peer.ts'

const WINDOW = 1000
const tooMuch = { name: 'StreamError', http2Code: 3, status: { code: Code.INTERNAL } }

/** A stream whose answer has begun. */
function begin() {
  const received: number[] = []
  const sink = { onMessage: (bytes: Buffer) => received.push(bytes.length), onEnd() {} }
  const limits = { maxMessageLength: 10 * WINDOW, window: WINDOW }
  const stream = new Stream(1, Buffer.alloc(0), Infinity, 0, sink, limits, { remaining: 100 * WINDOW })
  stream.receiveHeaders(createResponseHeaderReader(1000).read(RESPONSE, 0, RESPONSE.length), false)
  return {
    stream,
    received,
    /** A message that takes this much with its header, and padding. */
    receive(length: number, padding = 0) {
      const data = message(Buffer.alloc(length - 5))
      stream.receiveData(data, 0, length, length + padding, false)
    },
  }
}

t.test('all that the window of a stream allows is taken, and given back', async t => {
  const { stream, received, receive } = begin()
  for (let times = 0; times < 3; times++) {
    receive(WINDOW)
    t.equal(stream.replenish(), WINDOW)
  }
  t.same(received, Array(3).fill(WINDOW - 5))
})

t.test('the window of a stream is given back once half of it is used, and not before', async t => {
  const { stream, receive } = begin()
  receive(WINDOW / 2 - 10)
  t.equal(stream.replenish(), 0)
  receive(10)
  t.equal(stream.replenish(), WINDOW / 2)
})

t.test('one octet more than the window of a stream allows is an error of the peer', async t => {
  const { received, receive } = begin()
  receive(10)
  t.throws(() => receive(WINDOW - 9), tooMuch)
  t.same(received, [5], 'and nobody hears of it')
})

t.test('padding counts against the window of a stream', async t => {
  begin().receive(10, WINDOW - 10)
  t.throws(() => begin().receive(10, WINDOW - 9), tooMuch)
})
