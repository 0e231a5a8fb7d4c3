import { readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import bcrypt from '@node-rs/bcrypt'
import t from 'tap'
import { Code } from '#runtime/status.ts'
import { createBcryptPool } from '../../../auth-svc/passwords/bcrypt-pool.ts'

t.test('the bcrypt pool hashes and verifies concurrently', async t => {
  const pool = createBcryptPool()
  const hashes = await Promise.all(['one', 'two', 'three'].map(input => pool.hash(input, 4)))
  for (const [index, input] of ['one', 'two', 'three'].entries()) {
    t.ok(await bcrypt.verify(input, hashes[index] as string))
    t.equal(await pool.verify(input, hashes[index] as string), true)
    t.equal(await pool.verify('other', hashes[index] as string), false)
  }
})

t.test('an error of bcrypt rejects the operation, and its thread stays usable', async t => {
  const pool = createBcryptPool()
  const hash = await pool.hash('secret', 4)
  await t.rejects(pool.hash('secret', 99))
  t.equal(await pool.verify('secret', 'rubbish'), false)
  t.equal(await pool.verify('secret', hash), true)
})

t.test('bcrypt threads have a lower priority than the event loop', { skip: process.platform !== 'linux' }, async t => {
  const pool = createBcryptPool()
  await pool.hash('secret', 4)
  const priorities = new Map(readdirSync('/proc/self/task').map(id => [Number(id), priorityOf(id)]))
  t.equal(priorities.get(process.pid), 0, 'priority of the main thread')
  t.ok(
    [...priorities.values()].includes(constants.priority.PRIORITY_BELOW_NORMAL),
    'a bcrypt thread has the lower priority',
  )
})

/** The nice value of a thread: the 19th field of proc_pid_stat(5). */
function priorityOf(thread: string): number {
  const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])
}

t.test('when a bcrypt thread crashes its operation is rejected, and the next one runs in a new thread', async t => {
  const folder = t.testdir({
    'crashing-worker.mjs': `
      import { parentPort } from 'node:worker_threads'
      parentPort.on('message', ({ input }) => {
        if (input === 'exit') process.exit(3)
        if (input === 'throw') throw new Error('crash')
        parentPort.postMessage({ value: 'hashed ' + input })
      })`,
  })
  const pool = createBcryptPool({ module: pathToFileURL(path.join(folder, 'crashing-worker.mjs')) })
  t.equal(await pool.hash('first', 4), 'hashed first')
  for (const end of ['exit', 'throw']) {
    await t.rejects(pool.hash(end, 4), { code: Code.UNAVAILABLE, cause: Error })
    t.equal(await pool.hash('next', 4), 'hashed next')
  }
})
