/** Load by autocannon, in a process of its own. Argument: file with the load as JSON. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import autocannon from 'autocannon'
import { BENCH_DIRECTORY } from './directory.ts'
import { LONGEST_LOAD_SECONDS, type Load, type LoadResult, type RunningLoad } from './load.ts'
import { startPausable } from './pausable.ts'

/** It inherits the core of this process. */
export async function startAutocannon(load: Load): Promise<RunningLoad> {
  const file = path.join(BENCH_DIRECTORY, `${load.name}.requests`)
  await writeFile(file, JSON.stringify(load))
  const { pause, resume, end } = startPausable(process.execPath, [import.meta.filename, file])
  return { pause, resume, end: () => end().then(text => JSON.parse(text)) }
}

async function run({ origin, requests, connections }: Load): Promise<LoadResult> {
  let connection = 0
  const options: autocannon.Options = {
    url: origin,
    connections,
    duration: LONGEST_LOAD_SECONDS,
    // Longer than any pause: what is under way then is answered late by no fault of the server's.
    timeout: 30,
    // Each connection has its share: given whole, the list would be copied for each of them.
    setupClient: client => {
      const share = requests.filter((_, at) => at % connections === connection % connections)
      connection++
      client.setRequests((share.length > 0 ? share : requests) as autocannon.Request[])
    },
  }
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(options, (error, outcome) => (error ? reject(error) : resolve(outcome)))
    process.once('SIGINT', () => instance.stop())
  })
  return {
    answered: result['2xx'],
    wrong: result.non2xx + result.errors + result.timeouts,
    rate: result['2xx'] / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
  }
}

if (import.meta.main) console.log(JSON.stringify(await run(JSON.parse(readFileSync(String(process.argv[2]), 'utf8')))))
