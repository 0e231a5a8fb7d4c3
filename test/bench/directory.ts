import { mkdirSync } from 'node:fs'
import path from 'node:path'

/** Where the bench keeps what it makes: the contract's images, the processes' logs, the tables. */
export const BENCH_DIRECTORY = path.resolve(import.meta.dirname, '../../.data/bench')
mkdirSync(BENCH_DIRECTORY, { recursive: true })
