import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { startPipeliningAttack } from '../support/pipelining-attack.ts'
import { startSystem } from '../support/test-system.ts'

const MEASURED_MS = 10_000
/** Ten times the promise of docs/security.md, 250 ms, because tests run in parallel. */
const MAX_P99_MS = 2500
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
      const before = await residentMb(system.gateway.pid)

      const attack = await startPipeliningAttack(Number(port), { connections: 240, requests: 1500, paths })
      t.teardown(() => attack.stop())
      const durations: number[] = []
      let peak = 0
      for (const end = performance.now() + MEASURED_MS; performance.now() < end; await delay(20)) {
        durations.push(await probe(Number(port), agent))
        peak = Math.max(peak, await residentMb(system.gateway.pid))
      }
      durations.sort((a, b) => a - b)
      const p99 = durations[Math.floor(durations.length * 0.99)] as number
      t.comment(
        `${(attack.sentBytes / 1e6).toFixed(1)} MB sent; ${durations.length} probes, p99 ${p99.toFixed(0)} ms; memory ${before.toFixed(0)} MB + ${(peak - before).toFixed(0)} MB; ${attack.openConnections} of 240 connections open`,
      )
      t.ok(p99 <= MAX_P99_MS, `p99 of /healthz: ${p99.toFixed(0)} ms`)
      t.ok(peak - before <= MAX_GROWTH_MB, `memory grew by ${(peak - before).toFixed(0)} MB`)
    },
  )
}
