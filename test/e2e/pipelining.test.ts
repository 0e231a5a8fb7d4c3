import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { startPipeliningAttack } from '../support/pipelining-attack.ts'
import { startSystem } from '../support/test-system.ts'

const MEASURED_MS = 10_000
const IDLE_MS = 2000
/** Ten times the promise of docs/security.md, 250 ms, because tests run in parallel. */
const MAX_P99_MS = 2500
const MAX_P99_RATIO = 20
const MAX_GROWTH_MB = 200

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}

/** Requests `/healthz` with a kept connection, as a load balancer does. Returns the duration in milliseconds. */
async function probe(port: number, agent: http.Agent): Promise<number> {
  const startedAt = performance.now()
  await new Promise<void>((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/healthz', agent }, response => {
      response.resume().once('end', () => (response.statusCode === 200 ? resolve() : reject(response.statusCode)))
    })
    request.once('error', reject)
  })
  return performance.now() - startedAt
}

/** Probes for `ms` milliseconds. Returns the 99th percentile in milliseconds and the maximum of the memory. */
async function measure(port: number, agent: http.Agent, pid: number, ms: number) {
  const durations: number[] = []
  let peak = 0
  for (const end = performance.now() + ms; performance.now() < end; await delay(20)) {
    durations.push(await probe(port, agent))
    peak = Math.max(peak, await residentMb(pid))
  }
  durations.sort((a, b) => a - b)
  return { p99: durations[Math.floor(durations.length * 0.99)] as number, residentMb: peak }
}

for (const [name, paths] of [
  ['small responses', ['/v1/users/me', '/none', '/healthz']],
  ['large responses', ['/openapi.json']],
  ['pages', ['/docs/js/scalar.js', '/docs/']],
] as const) {
  t.test(
    `pipelined requests whose responses are not read (${name}) neither exhaust memory nor delay others`,
    async t => {
      // For all processes; only the gateway is under load.
      const system = await startSystem(t, { env: { NODE_OPTIONS: '--max-old-space-size=512' } })
      const { port } = new URL(system.url)
      const agent = new http.Agent({ keepAlive: true })
      t.teardown(() => agent.destroy())
      for (const path of paths) await (await fetch(system.url + path)).arrayBuffer()
      const idle = await measure(Number(port), agent, system.gateway.pid, IDLE_MS)
      const attack = await startPipeliningAttack(Number(port), { connections: 240, requests: 1500, paths })
      t.teardown(() => attack.stop())
      const attacked = await measure(Number(port), agent, system.gateway.pid, MEASURED_MS)
      const growth = attacked.residentMb - idle.residentMb
      t.comment(
        `${(attack.sentBytes / 1e6).toFixed(1)} MB sent; p99 of /healthz ${idle.p99.toFixed(0)} -> ${attacked.p99.toFixed(0)} ms; memory ${idle.residentMb.toFixed(0)} MB + ${growth.toFixed(0)} MB; ${attack.openConnections} of 240 connections open`,
      )
      t.ok(
        attacked.p99 <= Math.max(MAX_P99_MS, MAX_P99_RATIO * idle.p99),
        `p99 of /healthz: ${attacked.p99.toFixed(0)} ms`,
      )
      t.ok(growth <= MAX_GROWTH_MB, `memory grew by ${growth.toFixed(0)} MB`)
    },
  )
}
