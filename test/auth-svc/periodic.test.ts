import { pino } from 'pino'
import t from 'tap'
import { startPeriodic } from '../../auth-svc/periodic.ts'

t.test('a task that fails comes again, and the log has the beginning and the end of it', async t => {
  const messages: string[] = []
  const logger = pino({}, { write: (line: string) => messages.push(JSON.parse(line).msg) })
  const { promise: done, resolve } = Promise.withResolvers<void>()
  let runs = 0
  const periodic = startPeriodic({
    name: 'test',
    everyMs: 1,
    logger,
    async run() {
      runs += 1
      if (runs === 6) resolve()
      if (runs > 1 && runs < 5) throw new Error('no')
    },
  })
  await done
  await periodic.stop()
  t.same(messages, ['a periodic task failed', 'a periodic task works again'])
})

t.test('it stops after the run that is under way, and at once between two', async t => {
  const logger = pino({ level: 'silent' })
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  let isDone = false
  const busy = startPeriodic({
    name: 'busy',
    everyMs: 1,
    logger,
    async run() {
      begin()
      await gate
      isDone = true
    },
  })
  await begun
  const stopped = busy.stop()
  open()
  await stopped
  t.ok(isDone)

  await startPeriodic({ name: 'idle', everyMs: 3600_000, logger, run: async () => {} }).stop()
})
