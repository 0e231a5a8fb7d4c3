import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { BENCH_DIRECTORY } from './directory.ts'
import { type Load, type LoadResult, rawRequest } from './load.ts'

const SCRIPT = path.join(import.meta.dirname, 'wrk.lua')

/** In a process of its own, which inherits the core of this one. */
export async function saturateByWrk({ origin, requests, connections, seconds }: Load): Promise<LoadResult> {
  const file = path.join(BENCH_DIRECTORY, 'requests')
  await writeFile(file, requests.map(request => rawRequest(origin, request)).join('\u0001'))
  const flags = ['--threads=1', `--connections=${connections}`, `--duration=${seconds}s`, '--timeout=5s']
  const { stdout } = await execa('wrk', [...flags, `--script=${SCRIPT}`, origin, '--', file])
  const outcome = JSON.parse(stdout.slice(stdout.lastIndexOf('{')))
  const answered = outcome.completed - outcome.bad
  return {
    answered,
    wrong: outcome.bad + outcome.lost,
    rate: answered / (outcome.us / 1e6),
    p50Ms: outcome.p50 / 1000,
    p99Ms: outcome.p99 / 1000,
  }
}
