import t from 'tap'
import { ResetStreams } from '../../../../gateway/upstream/http2/streams.ts'

const MAX_RESET_STREAMS = 1024
const CLOSED_BY_PEER = 1

t.test('only streams that were reset may receive frames after their end', async t => {
  const streams = new ResetStreams()
  streams.add(3)
  streams.add(7)
  t.same(
    [1, 3, 5, 7, 9].map(id => streams.mayReceiveFrames(id)),
    [false, true, false, true, false],
  )
})

t.test('the last 1,024 resets are stored; streams older than an evicted one may receive frames', async t => {
  const streams = new ResetStreams()
  const resets = Array.from({ length: MAX_RESET_STREAMS + 1 }, (_, index) => 3 + 2 * index)
  const last = resets.at(-1) as number
  for (const id of resets.slice(0, MAX_RESET_STREAMS)) streams.add(id)
  t.equal(streams.mayReceiveFrames(CLOSED_BY_PEER), false)
  streams.add(last)
  t.equal(streams.mayReceiveFrames(CLOSED_BY_PEER), true)
  t.ok(resets.every(id => streams.mayReceiveFrames(id)))
  t.equal(streams.mayReceiveFrames(last + 2), false)
})

t.test('the largest evicted id decides, whatever the order of the resets', async t => {
  const streams = new ResetStreams()
  const [late, early] = [9001, 3]
  for (const id of [late, early]) streams.add(id)
  for (let count = 0; count < MAX_RESET_STREAMS; count++) streams.add(10_001 + 2 * count)
  t.equal(streams.mayReceiveFrames(late), true)
  t.equal(streams.mayReceiveFrames(late + 2), false)
})
