/** A case that loads one server as fast as it answers. */
import { cpuTimeOf, residentOf } from './cpu.ts'
import { type Request, saturate } from './load.ts'
import type { Case } from './rounds.ts'
import type { ServerUnderTest } from './server-under-test.ts'

const CONNECTIONS = 32

export interface LoadCaseOptions {
  readonly name: string
  readonly server: ServerUnderTest
  /** Made anew for each run, which lasts so many seconds. */
  readonly requests: (seconds: number) => readonly Request[]
  /** The body that the first request must be answered with; any unless given. */
  readonly expected?: string
  /** Whether no request may be sent twice: then the run fails when there were too few. */
  readonly once?: boolean
}

export function loadCase({ name, server, requests, expected, once = false }: LoadCaseOptions): Case {
  return {
    name,
    async run(seconds) {
      const all = requests(seconds)
      await assertAnswer(server.origin, all.at(-1) as Request, expected)
      const cpuBefore = cpuTimeOf(server.pids)
      const startedAt = performance.now()
      const { answered, wrong, rate, p50Ms, p99Ms } = await saturate({
        origin: server.origin,
        requests: all,
        connections: CONNECTIONS,
        seconds,
      })
      const usUsed = cpuTimeOf(server.pids) - cpuBefore
      const usPassed = (performance.now() - startedAt) * 1000
      const residentBytes = residentOf(server.pids)
      server.clearLogs()
      if (wrong > 0) throw new Error(`${wrong} of ${answered + wrong} requests were not answered with success`)
      if (answered === 0) throw new Error('nothing was answered')
      if (once && answered > all.length) throw new Error(`${all.length} requests were too few`)
      return { cpuUs: usUsed / answered, busy: usUsed / usPassed, rate, p50Ms, p99Ms, residentBytes }
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
