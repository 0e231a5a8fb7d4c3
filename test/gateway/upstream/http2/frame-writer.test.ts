import fc from 'fast-check'
import t from 'tap'
import { FrameWriter } from '../../../../gateway/upstream/http2/frame-writer.ts'
import {
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  GOAWAY,
  HEADERS,
  message,
  PING,
  RST_STREAM,
  settings,
  uint32,
  WINDOW_UPDATE,
} from '../../../support/grpc-peers/raw-peer.ts'

const opaque = Buffer.from('12345678')
const id = fc.integer({ min: 1, max: 0x7fff_ffff })

/** A write, and the frames that it must produce. */
const action = fc.oneof(
  fc.tuple(id, fc.nat(11)).map(([id, code]) => ({
    write: (writer: FrameWriter) => writer.resetStream(id, code),
    frames: frame(RST_STREAM, 0, id, uint32(code)),
  })),
  fc.tuple(id, fc.nat(0x7fff_ffff)).map(([id, increment]) => ({
    write: (writer: FrameWriter) => writer.windowUpdate(id, increment),
    frames: frame(WINDOW_UPDATE, 0, id, uint32(increment)),
  })),
  fc.constant({ write: (writer: FrameWriter) => writer.ping(1, opaque, 0), frames: frame(PING, 1, 0, opaque) }),
  fc.tuple(id, fc.nat(40_000)).map(([id, length]) => {
    const block = Buffer.alloc(length, length)
    const parts = Array.from({ length: Math.max(1, Math.ceil(length / 16_384)) }, (_, index) => {
      const part = block.subarray(index * 16_384, (index + 1) * 16_384)
      const last = (index + 1) * 16_384 >= length
      return frame(index === 0 ? HEADERS : CONTINUATION, last ? END_HEADERS : 0, id, part)
    })
    return {
      write: (writer: FrameWriter) => writer.headers(id, block, 0, block.length, 16_384),
      frames: Buffer.concat(parts),
    }
  }),
  fc.tuple(id, fc.nat(16_379), fc.nat(20), fc.nat(16_384)).map(([id, length, from, size]) => {
    const body = Buffer.alloc(length, length)
    const start = Math.min(from, length + 5)
    const end = Math.min(length + 5, start + size)
    const last = end === length + 5
    return {
      write: (writer: FrameWriter) => writer.message(id, body, start, end, last),
      frames: frame(DATA, last ? END_STREAM : 0, id, message(body).subarray(start, end)),
    }
  }),
)

t.test('frames are written whole and in order for any number of frames and a socket of any speed', async t => {
  fc.assert(
    fc.property(
      fc.array(action, { maxLength: 60, size: 'max' }),
      fc.infiniteStream(fc.boolean()),
      (actions, acceptsNow) => {
        const sent: Buffer[] = []
        const waiting: (() => void)[] = []
        const writer = new FrameWriter((bytes, done) => {
          // The socket may read the buffer until it calls `done`.
          const accept = () => {
            sent.push(Buffer.from(bytes))
            done()
          }
          waiting.push(accept)
          if (acceptsNow.next().value) for (const accept of waiting.splice(0)) accept()
        })
        for (const { write } of actions) write(writer)
        writer.flush()
        for (const accept of waiting.splice(0)) accept()
        return writer.backlog === 0 && Buffer.concat(sent).equals(Buffer.concat(actions.map(({ frames }) => frames)))
      },
    ),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('a frame that does not fit into the current chunk is written whole into the next one', async t => {
  const writes: [write: (writer: FrameWriter) => void, frames: Buffer][] = [
    [writer => writer.resetStream(3, 8), frame(RST_STREAM, 0, 3, uint32(8))],
    [writer => writer.windowUpdate(5, 77), frame(WINDOW_UPDATE, 0, 5, uint32(77))],
    [writer => writer.ping(0, opaque, 0), frame(PING, 0, 0, opaque)],
    [writer => writer.settings([[4, 9]]), settings({ 4: 9 })],
    [writer => writer.goaway(2, 'why'), frame(GOAWAY, 0, 0, Buffer.concat([uint32(0, 2), Buffer.from('why')]))],
    [writer => writer.message(7, opaque, 0, 13, false), frame(DATA, 0, 7, message(opaque))],
  ]
  for (const [write, frames] of writes) {
    const sent: Buffer[] = []
    const writer = new FrameWriter((bytes, done) => {
      sent.push(Buffer.from(bytes))
      done()
    })
    for (let count = 0; count < 20_000; count++) write(writer)
    writer.flush()
    t.ok(Buffer.concat(sent).equals(Buffer.concat(Array(20_000).fill(frames))), `type ${frames[3]}`)
  }
})
