import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { BENCH_DIRECTORY } from './directory.ts'
import { LONGEST_LOAD_SECONDS, type Load, type LoadResult, type RunningLoad, rawRequest } from './load.ts'
import { startPausable } from './pausable.ts'

const SCRIPT = path.join(import.meta.dirname, 'wrk.lua')

/** It inherits the core of this process. */
export async function startWrk({ name, origin, requests, connections }: Load): Promise<RunningLoad> {
  const file = path.join(BENCH_DIRECTORY, `${name}.requests`)
  await writeFile(file, requests.map(request => rawRequest(origin, request)).join('\u0001'))
  // Longer than any pause: what is under way then is answered late by no fault of the server's.
  const flags = ['--threads=1', `--connections=${connections}`, `--duration=${LONGEST_LOAD_SECONDS}s`, '--timeout=30s']
  const { pause, resume, end } = startPausable('wrk', [...flags, `--script=${SCRIPT}`, origin, '--', file])
  return { pause, resume, end: () => end().then(resultOf) }
}

/** @param output whose last line is that of `wrk.lua`. */
function resultOf(output: string): LoadResult {
  const outcome = JSON.parse(output.slice(output.lastIndexOf('{')))
  const answered = outcome.completed - outcome.bad
  return {
    answered,
    wrong: outcome.bad + outcome.lost,
    rate: answered / (outcome.us / 1e6),
    p50Ms: outcome.p50 / 1000,
    p99Ms: outcome.p99 / 1000,
  }
}
