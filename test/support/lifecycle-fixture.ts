/** A process under `manageLifecycle`, for its test: says what happens, line by line; its argument says what goes wrong. */
import { setTimeout as delay } from 'node:timers/promises'
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
        if (fault === 'told') return delay(200)
        return fault === 'hang' || fault === 'wait' ? never : undefined
      },
    },
    { name: 'second', stop: async () => console.log('second') },
  ],
})

// Keeps the process alive, as a server would.
setInterval(() => {}, 60_000)
if (fault === 'told') setImmediate(() => lifecycle.stop('told to'))
if (fault === 'reject') void Promise.reject(new Error('nobody caught this'))
if (fault === 'throw') {
  setImmediate(() => {
    throw new Error('nobody caught this')
  })
}
console.log('up')
