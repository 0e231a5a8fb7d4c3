/** Generates load with autocannon in a separate process. Argument of the process: file with the load as JSON. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import autocannon from 'autocannon'
import { BENCH_DIRECTORY } from './directory.ts'
import { type Load, type LoadResult, MAX_LOAD_SECONDS, type RunningLoad } from './load.ts'
import { lastLine, STARTED, startPausableScript } from './pausable.ts'

/** Starts a load. The process runs on the same core as this one. */
export async function startAutocannon(load: Load): Promise<RunningLoad> {
  const file = path.join(BENCH_DIRECTORY, `${load.name}.requests`)
  await writeFile(file, JSON.stringify(load))
  const { pause, resume, end } = await startPausableScript(process.execPath, [import.meta.filename, file])
  return { pause, resume, end: () => end().then(text => JSON.parse(lastLine(text))) }
}

async function run({ origin, requests, connections }: Load): Promise<LoadResult> {
  let connection = 0
  const options: autocannon.Options = {
    url: origin,
    connections,
    duration: MAX_LOAD_SECONDS,
    // Longer than any pause, because the responses to requests in flight are late after a pause.
    timeout: 30,
    // Give each connection a part of the requests, because autocannon copies the list per connection.
    setupClient: client => {
      const part = requests.filter((_, at) => at % connections === connection % connections)
      connection++
      client.setRequests((part.length > 0 ? part : requests) as autocannon.Request[])
    },
  }
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(options, (error, summary) => (error ? reject(error) : resolve(summary)))
    process.once('SIGINT', () => instance.stop())
    const announce = () => console.log(STARTED)
    instance.once('response', announce)
    instance.once('reqError', announce)
  })
  return {
    succeeded: result['2xx'],
    failed: result.non2xx + result.errors + result.timeouts,
    rate: result['2xx'] / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}

if (import.meta.main) console.log(JSON.stringify(await run(JSON.parse(readFileSync(String(process.argv[2]), 'utf8')))))
