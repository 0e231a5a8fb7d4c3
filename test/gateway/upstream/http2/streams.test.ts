import t from 'tap'
import { ResetStreams } from '../../../../gateway/upstream/http2/streams.ts'

const REMEMBERED = 1024
const ENDED_BY_PEER = 1

t.test('streams that were reset may have frames under way, and others not', async t => {
  const closed = new ResetStreams()
  closed.add(3)
  closed.add(7)
  t.same(
    [1, 3, 5, 7, 9].map(id => closed.mayReceiveFrames(id)),
    [false, true, false, true, false],
  )
})

t.test('the last 1024 resets are remembered; older streams are given the benefit of the doubt', async t => {
  const closed = new ResetStreams()
  const resets = Array.from({ length: REMEMBERED + 1 }, (_, index) => 3 + 2 * index)
  const last = resets.at(-1) as number
  for (const id of resets.slice(0, REMEMBERED)) closed.add(id)
  t.equal(closed.mayReceiveFrames(ENDED_BY_PEER), false)
  closed.add(last)
  t.equal(closed.mayReceiveFrames(ENDED_BY_PEER), true)
  t.ok(resets.every(id => closed.mayReceiveFrames(id)))
  t.equal(closed.mayReceiveFrames(last + 2), false)
})

t.test('what is forgotten stays so, in whichever order streams were reset', async t => {
  const closed = new ResetStreams()
  const [late, early] = [9001, 3]
  for (const id of [late, early]) closed.add(id)
  for (let count = 0; count < REMEMBERED; count++) closed.add(10_001 + 2 * count)
  t.equal(closed.mayReceiveFrames(late), true)
  t.equal(closed.mayReceiveFrames(late + 2), false)
})
