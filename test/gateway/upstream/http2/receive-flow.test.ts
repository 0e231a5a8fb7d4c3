import t from 'tap'
import { FrameWriter } from '../../../../gateway/upstream/http2/frame-writer.ts'
import { ReceiveFlow } from '../../../../gateway/upstream/http2/receive-flow.ts'
import { frame, uint32, WINDOW_UPDATE } from '../../../support/grpc-peers/raw-peer.ts'

const SIZE = 100_000
const DEFAULT_SIZE = 65_535
const flowControlError = { name: 'ConnectionError', http2Code: 3 }

function createFlow() {
  const sent: Buffer[] = []
  const writer = new FrameWriter((bytes, done) => {
    sent.push(Buffer.from(bytes))
    done()
  })
  return {
    flow: new ReceiveFlow(writer, SIZE),
    sent() {
      writer.flush()
      return Buffer.concat(sent.splice(0))
    },
  }
}

const windowUpdate = (increment: number) => frame(WINDOW_UPDATE, 0, 0, uint32(increment))

t.test('the peer may use the whole window of the connection, and WINDOW_UPDATE restores it', async t => {
  const { flow, sent } = createFlow()
  flow.replenish()
  t.same(sent(), windowUpdate(SIZE - DEFAULT_SIZE))
  for (let times = 0; times < 3; times++) {
    flow.consume(SIZE)
    t.same(sent(), windowUpdate(SIZE))
  }
})

t.test('WINDOW_UPDATE is sent when half of the window of the connection is used, not before', async t => {
  const { flow, sent } = createFlow()
  flow.replenish()
  sent()
  flow.consume(SIZE / 2 - 1)
  t.equal(sent().length, 0)
  flow.consume(1)
  t.same(sent(), windowUpdate(SIZE / 2))
})

t.test('one octet more than the window of the connection is a FLOW_CONTROL_ERROR', async t => {
  t.throws(() => createFlow().flow.consume(DEFAULT_SIZE + 1), flowControlError, 'with the initial window')

  const { flow } = createFlow()
  flow.replenish()
  flow.consume(1)
  t.throws(() => flow.consume(SIZE), flowControlError, 'with a window that is partly used')
})
