import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { BENCH_DIRECTORY } from './directory.ts'
import { type Load, type LoadResult, MAX_LOAD_SECONDS, type RunningLoad, rawRequest } from './load.ts'
import { startPausable } from './pausable.ts'

const SCRIPT = path.join(import.meta.dirname, 'wrk.lua')

/** Starts a load with wrk. The process runs on the same core as this one. */
export async function startWrk({ name, origin, requests, connections }: Load): Promise<RunningLoad> {
  const file = path.join(BENCH_DIRECTORY, `${name}.requests`)
  await writeFile(file, requests.map(request => rawRequest(origin, request)).join('\u0001'))
  // The timeout is longer than any pause, because the responses to requests in flight are late after a pause.
  const flags = ['--threads=1', `--connections=${connections}`, `--duration=${MAX_LOAD_SECONDS}s`, '--timeout=30s']
  const { pause, resume, end } = startPausable('wrk', [...flags, `--script=${SCRIPT}`, origin, '--', file])
  return { pause, resume, end: () => end().then(parseResult) }
}

/** @param output standard output of wrk; its last line is the JSON of `wrk.lua`. */
function parseResult(output: string): LoadResult {
  const summary = JSON.parse(output.slice(output.lastIndexOf('{')))
  const succeeded = summary.completed - summary.bad
  return {
    succeeded,
    failed: summary.bad + summary.lost,
    rate: succeeded / (summary.us / 1e6),
    p50Ms: summary.p50 / 1000,
    p99Ms: summary.p99 / 1000,
  }
}
