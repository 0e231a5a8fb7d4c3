import t from 'tap'
import { ClosedStreams } from '../../../../gateway/upstream/http2/closed-streams.ts'

const REMEMBERED = 1024
const ENDED_BY_PEER = 1

t.test('streams that were reset may have frames under way, and others not', async t => {
  const closed = new ClosedStreams()
  closed.addReset(3)
  closed.addReset(7)
  t.same(
    [1, 3, 5, 7, 9].map(id => closed.mayHaveFramesUnderWay(id)),
    [false, true, false, true, false],
  )
})

t.test('the last 1024 resets are remembered; older streams are given the benefit of the doubt', async t => {
  const closed = new ClosedStreams()
  const resets = Array.from({ length: REMEMBERED + 1 }, (_, index) => 3 + 2 * index)
  const last = resets.at(-1) as number
  for (const id of resets.slice(0, REMEMBERED)) closed.addReset(id)
  t.equal(closed.mayHaveFramesUnderWay(ENDED_BY_PEER), false)
  closed.addReset(last)
  t.equal(closed.mayHaveFramesUnderWay(ENDED_BY_PEER), true)
  t.ok(resets.every(id => closed.mayHaveFramesUnderWay(id)))
  t.equal(closed.mayHaveFramesUnderWay(last + 2), false)
})

t.test('what is forgotten stays so, in whichever order streams were reset', async t => {
  const closed = new ClosedStreams()
  const [late, early] = [9001, 3]
  for (const id of [late, early]) closed.addReset(id)
  for (let count = 0; count < REMEMBERED; count++) closed.addReset(10_001 + 2 * count)
  t.equal(closed.mayHaveFramesUnderWay(late), true)
  t.equal(closed.mayHaveFramesUnderWay(late + 2), false)
})
