/** A process under `manageLifecycle` that prints each stage as it stops. Its argument selects how it stops or fails. */
import { once } from 'node:events'
import { pino } from 'pino'
import { manageLifecycle } from '#runtime/process/lifecycle.ts'

const [fault] = process.argv.slice(2)
const never = new Promise(() => {})

const lifecycle = manageLifecycle({
  logger: pino({ level: 'silent' }),
  hardStopMs: fault === 'hang' ? 100 : 30_000,
  stages: [
    {
      name: 'first',
      stop: () => {
        console.log('first')
        if (fault === 'fail') throw new Error('cannot stop')
        // Until the signal that the test sends during the stop.
        if (fault === 'stop-call') return once(process, 'SIGTERM')
        return fault === 'hang' || fault === 'wait' ? never : undefined
      },
    },
    { name: 'second', stop: async () => console.log('second') },
  ],
})

// Keeps the event loop alive, as a listening server does.
setInterval(() => {}, 60_000)
if (fault === 'stop-call') setImmediate(() => lifecycle.stop('stop() called'))
if (fault === 'reject') void Promise.reject(new Error('uncaught in the fixture'))
if (fault === 'throw') {
  setImmediate(() => {
    throw new Error('uncaught in the fixture')
  })
}
console.log('up')
