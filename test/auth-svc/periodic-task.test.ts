import { pino } from 'pino'
import t from 'tap'
import { startPeriodicTask } from '../../auth-svc/periodic-task.ts'

t.test('a failing periodic task keeps running; the log has its first failure and its recovery', async t => {
  const messages: string[] = []
  const logger = pino({}, { write: (line: string) => messages.push(JSON.parse(line).msg) })
  const { promise: recovered, resolve } = Promise.withResolvers<void>()
  let runs = 0
  const task = startPeriodicTask({
    name: 'test',
    intervalMs: 1,
    logger,
    async run() {
      runs += 1
      if (runs === 6) resolve()
      if (runs > 1 && runs < 5) throw new Error('run failed')
    },
  })
  await recovered
  await task.stop()
  t.same(messages, ['periodic task failed; retrying at its next interval', 'periodic task recovered'])
})

t.test('stopping a periodic task waits for the current run, and does not wait for the interval', async t => {
  const logger = pino({ level: 'silent' })
  const { promise: gate, resolve: openGate } = Promise.withResolvers<void>()
  const { promise: started, resolve: markStarted } = Promise.withResolvers<void>()
  let isDone = false
  const running = startPeriodicTask({
    name: 'running',
    intervalMs: 1,
    logger,
    async run() {
      markStarted()
      await gate
      isDone = true
    },
  })
  await started
  const stopped = running.stop()
  openGate()
  await stopped
  t.ok(isDone)

  await startPeriodicTask({ name: 'pausing', intervalMs: 3600_000, logger, run: async () => {} }).stop()
})
