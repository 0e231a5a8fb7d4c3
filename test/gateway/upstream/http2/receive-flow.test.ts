import t from 'tap'
import { Outbox } from '../../../../gateway/upstream/http2/outbox.ts'
import { ReceiveFlow } from '../../../../gateway/upstream/http2/receive-flow.ts'
import { frame, uint32, WINDOW_UPDATE } from '../../../support/grpc-peers/raw-peer.ts'

const SIZE = 100_000
const DEFAULT_SIZE = 65_535
const tooMuch = { name: 'ConnectionError', http2Code: 3 }

function createFlow() {
  const sent: Buffer[] = []
  const outbox = new Outbox((bytes, done) => {
    sent.push(Buffer.from(bytes))
    done()
  })
  return {
    flow: new ReceiveFlow(outbox, SIZE),
    sent() {
      outbox.flush()
      return Buffer.concat(sent.splice(0))
    },
  }
}

const opened = (increment: number) => frame(WINDOW_UPDATE, 0, 0, uint32(increment))

t.test('all that the window of a connection allows is taken, and given back', async t => {
  const { flow, sent } = createFlow()
  flow.open()
  t.same(sent(), opened(SIZE - DEFAULT_SIZE))
  for (let times = 0; times < 3; times++) {
    flow.take(SIZE)
    t.same(sent(), opened(SIZE))
  }
})

t.test('the window of a connection is given back once half of it is used, and not before', async t => {
  const { flow, sent } = createFlow()
  flow.open()
  sent()
  flow.take(SIZE / 2 - 1)
  t.equal(sent().length, 0)
  flow.take(1)
  t.same(sent(), opened(SIZE / 2))
})

t.test('one octet more than the window of a connection allows is an error of the peer', async t => {
  t.throws(() => createFlow().flow.take(DEFAULT_SIZE + 1), tooMuch, 'before it is opened')

  const { flow } = createFlow()
  flow.open()
  flow.take(1)
  t.throws(() => flow.take(SIZE), tooMuch, 'after what is not given back yet')
})
