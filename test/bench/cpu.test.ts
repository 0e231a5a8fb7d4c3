import { execa } from 'execa'
import t from 'tap'
import { CpuMeter, canAccount, cpuTimeOf, cpuTimeSince, cpuTimesOf } from './cpu.ts'

t.test('a process that exits between two measurements counts as 0', { skip: !canAccount && 'no /proc' }, async t => {
  const child = execa('sleep', ['60'], { reject: false })
  const pid = child.pid ?? 0
  const pids = [process.pid, pid]
  const meter = new CpuMeter(pids)
  meter.start()
  const before = cpuTimesOf(pids)
  t.strictSame([...before.keys()], pids)
  child.kill()
  await child
  meter.stop()
  t.equal(cpuTimeOf([pid]), 0)
  t.strictSame([...cpuTimesOf(pids).keys()], [process.pid])
  t.ok(cpuTimeSince(before) > 0, 'the time of the other process is counted')
  t.ok(meter.used > 0)
})
