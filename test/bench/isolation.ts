/**
 * Measures whether an upstream that hangs slows down another one: `node test/bench/isolation.ts`, SECONDS (default 5) for
 * each round. A gateway has two upstreams. Clients call the healthy one, alone and while other clients call the one that
 * never responds. Prints the latency of the healthy calls.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { stringify } from 'yaml'
import { waitUntilReady } from '../../deploy/dev/readiness.ts'
import { ANY_METRICS_PORTS, serviceCommand } from '../../deploy/dev/services.ts'
import { buildImage } from '../support/contract.ts'
import { startScriptedPeer } from '../support/grpc-peers/scripted-peer.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { quantile } from './rounds.ts'
import { startServer } from './server-under-test.ts'

const SECONDS = Number(process.env['SECONDS'] ?? 5)
const ROUNDS = 3
/** Clients of the healthy upstream, and of the one that hangs. */
const [CLIENTS, HANGING_CLIENTS] = [4, 100]
/** Timeout of the calls that hang, in milliseconds. */
const HANG_MS = 1000

const packageOf = (name: string) => `
  syntax = "proto3";
  package ${name}.v1;
  message Item { string id = 1; }
  service Peer { rpc Echo(Item) returns (Item); }
`
const hanging = await startScriptedPeer(() => undefined, 0, 'hang.v1.Peer')
const echo = fork(path.resolve(import.meta.dirname, '../support/grpc-peers/echo-process.ts'), ['0', '5'])
const [port] = await once(echo, 'message')

const entryOf = (name: string, address: string) => {
  const contract = path.join(BENCH_DIRECTORY, `${name}.binpb`)
  writeFileSync(contract, buildImage({ [`${name}.proto`]: packageOf(name) }))
  const policies = { default: { access: 'public' } }
  return { name, address, contract, services: [`${name}.v1.Peer`], unannotated: 'post', policies }
}
const upstreams = [entryOf('peers', `127.0.0.1:${port}`), { ...entryOf('hang', hanging.address), timeoutMs: HANG_MS }]
const limits = { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' } }
const file = path.join(BENCH_DIRECTORY, 'isolation.yaml')
writeFileSync(file, stringify({ upstreams, limits }))
const { command, args } = serviceCommand('gateway')
const env = { ...process.env, ...ANY_METRICS_PORTS, GATEWAY_CONFIG: file, DRAIN_DELAY_MS: '50' }
const gateway = await startServer(
  'isolation',
  gatewayPort => ({ command, args, env: { ...env, GATEWAY_PORT: String(gatewayPort) } }),
  origin => waitUntilReady(origin, 60_000),
)

/** Calls the service until `isOver`. @param spreadMs time in which the clients start. @returns latencies in milliseconds. */
async function run(service: string, clients: number, spreadMs: number, isOver: () => boolean): Promise<number[]> {
  const times: number[] = []
  const client = async (index: number) => {
    await delay((spreadMs * index) / clients)
    while (!isOver()) {
      const startedAt = performance.now()
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"id":"7"}' }
      const response = await fetch(`${gateway.origin}/${service}/Echo`, init)
      await response.text()
      times.push(performance.now() - startedAt)
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, index) => client(index)))
  return times
}

function describe(name: string, times: readonly number[]): void {
  const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)]
  console.log(`${name.padEnd(28)} p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${times.length} calls`)
}

try {
  for (let round = 0; round <= ROUNDS; round++) {
    for (const hangs of [false, true]) {
      let isOver = false
      const disturbed = hangs ? run('hang.v1.Peer', HANGING_CLIENTS, HANG_MS, () => isOver) : Promise.resolve([])
      const measured = run('peers.v1.Peer', CLIENTS, 0, () => isOver)
      await delay(SECONDS * 1000)
      isOver = true
      const times = await measured
      await disturbed
      // Round 0 warms up.
      if (round > 0) describe(hangs ? 'beside an upstream that hangs' : 'alone', times)
    }
  }
} finally {
  await gateway.stop()
  echo.disconnect()
  hanging.stop()
}
