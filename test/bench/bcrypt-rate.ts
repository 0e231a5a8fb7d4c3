/** Verifications by bcrypt of cost 12 in a second, as many at once as there are cores; prints it. Argument: seconds. */
import { availableParallelism } from 'node:os'
import bcrypt from '@node-rs/bcrypt'
import { startClosedLoop } from './closed-loop.ts'

const hash = await bcrypt.hash('password', 12)
const startedAt = performance.now()
const workers = Array.from({ length: availableParallelism() }, () => () => bcrypt.verify('password', hash))
const done = await startClosedLoop(workers, Number(process.argv[2])).done
console.log((done / (performance.now() - startedAt)) * 1000)
