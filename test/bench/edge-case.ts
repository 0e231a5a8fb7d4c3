/** A case that loads one server as fast as it answers: its CPU, rate and percentiles. */
import { cpuTimeOf, residentOf } from './cpu.ts'
import { type Load, type Request, saturate } from './load.ts'
import type { Case } from './rounds.ts'
import type { ServerUnderTest } from './server-under-test.ts'

const CONNECTIONS = 32

export interface EdgeSample {
  /** Microseconds of CPU of the server for one request, user and system. */
  readonly cpuUs: number
  /** Share of the time in which its core was busy with it. */
  readonly busy: number
  readonly rate: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly residentBytes: number
}

export interface EdgeCaseOptions {
  readonly name: string
  readonly server: ServerUnderTest
  readonly seconds: number
  /** Made anew for each run. */
  readonly requests: () => readonly Request[]
  /** The body that the first request must be answered with. */
  readonly expected: string
}

export function edgeCase({ name, server, seconds, requests, expected }: EdgeCaseOptions): Case<EdgeSample> {
  return {
    name,
    async run() {
      const all = requests()
      await assertAnswer(server.origin, all[0] as Request, expected)
      const load: Load = { origin: server.origin, requests: all, connections: CONNECTIONS, seconds }
      const cpuBefore = cpuTimeOf(server.pids)
      const startedAt = performance.now()
      const { answered, wrong, rate, p50Ms, p99Ms } = await saturate(load)
      const usUsed = cpuTimeOf(server.pids) - cpuBefore
      const usPassed = (performance.now() - startedAt) * 1000
      const residentBytes = residentOf(server.pids)
      server.clearLog()
      if (wrong > 0) throw new Error(`${wrong} of ${answered + wrong} requests were not answered with success`)
      if (answered === 0) throw new Error('nothing was answered')
      return { cpuUs: usUsed / answered, busy: usUsed / usPassed, rate, p50Ms, p99Ms, residentBytes }
    },
  }
}

/** @throws unless the request is answered with these bytes, however fast wrong ones would come. */
async function assertAnswer(origin: string, { path, headers, method, body }: Request, expected: string): Promise<void> {
  const response = await fetch(origin + path, { method, headers, body })
  const text = await response.text()
  if (response.status !== 200 || text !== expected) throw new Error(`was answered ${response.status}: ${text}`)
}
