import { mkdirSync } from 'node:fs'
import path from 'node:path'

/** Folder of the files that the bench writes: descriptor images, logs and results. Created on import. */
export const BENCH_DIRECTORY = path.resolve(import.meta.dirname, '../../.data/bench')
mkdirSync(BENCH_DIRECTORY, { recursive: true })
