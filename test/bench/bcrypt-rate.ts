/**
 * Prints the number of bcrypt verifications per second at cost 12, with one verification per core at a time. Argument:
 * seconds.
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import bcrypt from '@node-rs/bcrypt'
import { startClosedLoop } from './closed-loop.ts'

const hash = await bcrypt.hash('password', 12)
const startedAt = performance.now()
const workers = Array.from({ length: availableParallelism() }, () => () => bcrypt.verify('password', hash))
const loop = startClosedLoop(workers)
await delay(Number(process.argv[2]) * 1000)
const done = await loop.end()
console.log((done / (performance.now() - startedAt)) * 1000)
