import t from 'tap'
import { startVerification } from './uncached.ts'

t.test('the measurement of verifications has a figure even if it is paused and ended at once', async t => {
  const run = await startVerification()
  await run.pause()
  run.resume()
  const { cpuUs } = await run.end()
  t.ok(cpuUs > 0, `${cpuUs} us`)
})
