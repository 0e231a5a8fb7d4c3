/** A case that saturates one server. */
import { setTimeout as delay } from 'node:timers/promises'
import { CpuMeter, residentOf } from './cpu.ts'
import type { Request } from './load.ts'
import { startLoad } from './load-generator.ts'
import type { Case } from './rounds.ts'
import type { ServerUnderTest } from './server-under-test.ts'

const CONNECTIONS = 32
/** Time for the server to finish the requests in flight after the load has paused, in milliseconds. */
const DRAIN_MS = 8

export interface LoadCaseOptions {
  /** Name of the case, unique in its stage. */
  readonly name: string
  readonly server: ServerUnderTest
  /** Returns the requests of one run of `seconds` seconds. */
  readonly requests: (seconds: number) => readonly Request[]
  /** Expected body of the response. Default: any. */
  readonly expected?: string
  /** Whether each request may be sent only once. The run fails if there were too few. Default false. */
  readonly once?: boolean
  /** Duration of the warm-up, in seconds. Default: that of the rounds. */
  readonly warmUpSeconds?: number
}

/**
 * Warm-up of gateways that are compared with each other, in seconds. V8 optimizes until about 40,000 requests; before,
 * a request uses up to 50 % more CPU.
 */
export const LONG_WARM_UP_SECONDS = 7

/** Returns a case that sends the requests over 32 connections. A run fails if any response is not 2xx. */
export function loadCase(options: LoadCaseOptions): Case {
  const { name, server, requests, expected, once = false, warmUpSeconds } = options
  return {
    name,
    warmUpSeconds,
    async start(seconds) {
      const all = requests(seconds)
      await assertResponse(server.origin, all.at(-1) as Request, expected)
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
          const { succeeded, failed, rate, p50Ms, p99Ms } = await load.end()
          meter.stop()
          server.clearLogs()
          if (failed > 0) throw new Error(`${failed} of ${succeeded + failed} requests failed`)
          if (succeeded === 0) throw new Error('no response arrived')
          if (once && succeeded > all.length) throw new Error(`${all.length} requests are too few`)
          return { cpuUs: meter.used / succeeded, rate, p50Ms, p99Ms, residentBytes: residentOf(server.pids) }
        },
      }
    },
  }
}

/** Sends one request. @throws if the response is not the expected one; errors can be faster than correct responses. */
async function assertResponse(
  origin: string,
  { path, headers, method, body }: Request,
  expected?: string,
): Promise<void> {
  const response = await fetch(origin + path, { method, headers, body })
  const text = await response.text()
  const isExpected = response.ok && (expected === undefined || text === expected)
  if (!isExpected) throw new Error(`${path} returned ${response.status}: ${text}`)
}
