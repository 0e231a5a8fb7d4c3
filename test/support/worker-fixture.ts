/** A worker process for the tests of the supervisor. Environment variables make it wait, fail or ignore commands. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { WORKER_COMMANDS } from '../../gateway/workers/workers.ts'

const { WAITS, FAILS, IGNORES_COMMANDS } = process.env

// Until the first message of the test.
if (WAITS !== undefined) await once(process, 'message')
if (FAILS !== undefined) process.exit(1)
process.on('message', command => {
  if (IGNORES_COMMANDS !== undefined) return
  if (command === WORKER_COMMANDS.stop || command === WORKER_COMMANDS.retire) process.exit(0)
})
createServer().listen(0, '127.0.0.1')
