/** A case that loads one server as fast as it answers. */
import { setTimeout as delay } from 'node:timers/promises'
import { CpuMeter, residentOf } from './cpu.ts'
import type { Request } from './load.ts'
import { startLoad } from './load-generator.ts'
import type { Case } from './rounds.ts'
import type { ServerUnderTest } from './server-under-test.ts'

const CONNECTIONS = 32
/** In which the server answers what was under way when its load stood still. */
const DRAIN_MS = 8

export interface LoadCaseOptions {
  readonly name: string
  readonly server: ServerUnderTest
  /** Made anew for each run, in which they are sent for so many seconds. */
  readonly requests: (seconds: number) => readonly Request[]
  /** The body that the first request must be answered with; any unless given. */
  readonly expected?: string
  /** Whether no request may be sent twice: then the run fails when there were too few. */
  readonly once?: boolean
  readonly warmUpSeconds?: number
}

/**
 * What a gateway needs that is compared with another: V8 goes on compiling until 40,000 requests or so, and until then a
 * request takes up to half as much again.
 */
export const LONG_WARM_UP_SECONDS = 7

export function loadCase(options: LoadCaseOptions): Case {
  const { name, server, requests, expected, once = false, warmUpSeconds } = options
  return {
    name,
    warmUpSeconds,
    async start(seconds) {
      const all = requests(seconds)
      await assertAnswer(server.origin, all.at(-1) as Request, expected)
      const meter = new CpuMeter(server.pids)
      meter.start()
      const load = await startLoad({
        name: name.replaceAll(/\W+/g, '-'),
        origin: server.origin,
        requests: all,
        connections: CONNECTIONS,
      })
      return {
        async pause() {
          load.pause()
          await delay(DRAIN_MS)
          meter.stop()
        },
        resume() {
          meter.start()
          load.resume()
        },
        async end() {
          const { answered, wrong, rate, p50Ms, p99Ms } = await load.end()
          meter.stop()
          server.clearLogs()
          if (wrong > 0) throw new Error(`${wrong} of ${answered + wrong} requests were not answered with success`)
          if (answered === 0) throw new Error('nothing was answered')
          if (once && answered > all.length) throw new Error(`${all.length} requests were too few`)
          return { cpuUs: meter.used / answered, rate, p50Ms, p99Ms, residentBytes: residentOf(server.pids) }
        },
      }
    },
  }
}

/** @throws unless the request is answered as it must be, however fast wrong answers would come. */
async function assertAnswer(
  origin: string,
  { path, headers, method, body }: Request,
  expected?: string,
): Promise<void> {
  const response = await fetch(origin + path, { method, headers, body })
  const text = await response.text()
  const isRight = response.ok && (expected === undefined || text === expected)
  if (!isRight) throw new Error(`was answered ${response.status}: ${text}`)
}
