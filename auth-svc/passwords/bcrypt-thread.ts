/** A thread of bcrypt-threads.ts: one piece of work after another, each for as long as it takes. */
import { constants, setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import bcrypt from '@node-rs/bcrypt'
import type { BcryptResult, BcryptWork } from './bcrypt-threads.ts'

// On Linux it is this thread that steps back, not the process (setpriority(2), "C library/kernel differences").
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)

function perform(work: BcryptWork): BcryptResult {
  try {
    const value = 'hash' in work ? bcrypt.verifySync(work.input, work.hash) : bcrypt.hashSync(work.input, work.cost)
    return { value }
  } catch (error) {
    return { error }
  }
}

parentPort?.on('message', (work: BcryptWork) => parentPort?.postMessage(perform(work)))
