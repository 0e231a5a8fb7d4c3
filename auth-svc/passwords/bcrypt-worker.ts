/** Worker thread of bcrypt-pool.ts: runs one bcrypt operation at a time, synchronously. */
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import bcrypt from '@node-rs/bcrypt'
import type { BcryptRequest, BcryptResult } from './bcrypt-pool.ts'

// On Linux this sets the priority of the thread, not of the process (setpriority(2), "C library/kernel differences").
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)

function run(request: BcryptRequest): BcryptResult {
  try {
    const value =
      'hash' in request ? bcrypt.verifySync(request.input, request.hash) : bcrypt.hashSync(request.input, request.cost)
    return { value }
  } catch (error) {
    return { error }
  }
}

parentPort?.on('message', (request: BcryptRequest) => parentPort?.postMessage(run(request)))
