/** A process that logs 1,000 request lines and then ends as its argument selects: exit, throw, signal or wait. */
import { createLogger, requestLine } from '#runtime/observability/logger.ts'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'

const [end] = process.argv.slice(2)
const logger = createLogger({ service: 'fixture', level: 'info' })
manageLifecycle({ logger, stages: [] })
const log = requestLine(logger, 'request')
for (let line = 0; line < 1000; line++) log(`,"line":${line}`)

if (end === 'exit') process.exit(0)
if (end === 'throw') throw new Error('uncaught in the fixture')
if (end === 'signal') process.kill(process.pid, 'SIGTERM')
// Without an exit, the buffered lines are written after 100 ms.
if (end === 'wait' || end === 'signal') setInterval(() => {}, 60_000)
