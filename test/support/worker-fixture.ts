/** A worker for the test of those who look after workers: it listens when and if its environment says so. */
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { ORDERS } from '../../gateway/workers/workers.ts'

const { LISTEN_AFTER_MS = '0', NEVER_LISTENS, NEVER_ENDS } = process.env

await delay(Number(LISTEN_AFTER_MS))
if (NEVER_LISTENS !== undefined) process.exit(1)
process.on('message', order => {
  if (NEVER_ENDS !== undefined) return
  if (order === ORDERS.stop || order === ORDERS.leave) process.exit(0)
})
createServer().listen(0, '127.0.0.1')
