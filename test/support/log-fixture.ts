/** A process that logs a request's lines and ends, as its argument says. */

import { createLogger, requestLine } from '#runtime/observability/logger.ts'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'

const [end] = process.argv.slice(2)
const logger = createLogger({ service: 'fixture', level: 'info' })
manageLifecycle({ logger, stages: [] })
const log = requestLine(logger, 'request')
for (let line = 0; line < 1000; line++) log(`,"line":${line}`)

if (end === 'exit') process.exit(0)
if (end === 'throw') throw new Error('nobody caught this')
if (end === 'signal') process.kill(process.pid, 'SIGTERM')
// Whoever waits sees the lines all the same.
if (end === 'wait' || end === 'signal') setInterval(() => {}, 60_000)
