import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import bcrypt from '@node-rs/bcrypt'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createBcryptThreads } from '../../../auth-svc/passwords/bcrypt-threads.ts'

t.test('hashes and verifies, several at once', async t => {
  const threads = createBcryptThreads()
  const hashes = await Promise.all(['one', 'two', 'three'].map(input => threads.hash(input, 4)))
  for (const [index, input] of ['one', 'two', 'three'].entries()) {
    t.ok(await bcrypt.verify(input, hashes[index] as string))
    t.equal(await threads.verify(input, hashes[index] as string), true)
    t.equal(await threads.verify('other', hashes[index] as string), false)
  }
})

t.test('work that bcrypt refuses is an error, and the thread goes on', async t => {
  const threads = createBcryptThreads()
  const hash = await threads.hash('secret', 4)
  await t.rejects(threads.hash('secret', 99))
  t.equal(await threads.verify('secret', 'rubbish'), false)
  t.equal(await threads.verify('secret', hash), true)
})

t.test('the threads step back behind the event loop', { skip: process.platform !== 'linux' }, async t => {
  const threads = createBcryptThreads()
  await threads.hash('secret', 4)
  const priorities = new Map(readdirSync('/proc/self/task').map(id => [Number(id), priorityOf(id)]))
  t.equal(priorities.get(process.pid), 0, 'of the main thread')
  t.ok([...priorities.values()].includes(constants.priority.PRIORITY_BELOW_NORMAL), 'of one that hashes')
})

/** The 19th field of proc_pid_stat(5). */
function priorityOf(thread: string): number {
  const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
}

t.test('when a thread dies its caller learns of it, and the next one gets another', async t => {
  const folder = t.testdir({
    'mortal.mjs': `
      import { parentPort } from 'node:worker_threads'
      parentPort.on('message', ({ input }) => {
        if (input === 'exit') process.exit(3)
        if (input === 'throw') throw new Error('out of order')
        parentPort.postMessage({ value: 'hashed ' + input })
      })`,
  })
  const threads = createBcryptThreads({ module: pathToFileURL(path.join(folder, 'mortal.mjs')) })
  t.equal(await threads.hash('first', 4), 'hashed first')
  for (const end of ['exit', 'throw']) {
    await t.rejects(threads.hash(end, 4), { code: Code.UNAVAILABLE, cause: Error })
    t.equal(await threads.hash('next', 4), 'hashed next')
  }
})
