/** A gateway in front of two replicas, one of which is killed under load. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { ANY_METRICS_PORTS } from '../../deploy/dev/services.ts'
import { buildImage } from '../support/contract.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import { openTestPort } from '../support/test-port.ts'
import { startTestProcess } from '../support/test-process.ts'

// On a busy machine, replacing replicas takes its time.
t.setTimeout(600_000)

const image = buildImage({
  'peer.proto': `
    syntax = "proto3";
    package peers.v1;
    message Item { string id = 1; }
    service Peer { rpc Echo(Item) returns (Item); }
  `,
})

const ECHO_PROCESS = path.resolve(import.meta.dirname, '../support/grpc-peers/echo-process.ts')

async function startReplica(t: Test, port = 0): Promise<{ process: ChildProcess; port: number }> {
  const child = fork(ECHO_PROCESS, [String(port), '50'])
  t.teardown(() => child.kill('SIGKILL'))
  const [bound] = await once(child, 'message')
  return { process: child, port: bound as number }
}

async function startGateway(t: Test, ports: readonly number[], policy: object) {
  const folder = t.testdir({ 'peer.binpb': image })
  const file = path.join(folder, 'gateway.yaml')
  const entry = {
    name: 'peer',
    address: ports.map(port => `127.0.0.1:${port}`).join(','),
    contract: 'peer.binpb',
    services: ['peers.v1.Peer'],
    unannotated: 'post',
    policies: { default: { access: 'public', ...policy } },
    retries: { maxTokens: 1000 },
  }
  const limits = { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' } }
  writeFileSync(file, stringify({ upstreams: [entry], limits }))
  const port = await openTestPort()
  const env = { GATEWAY_PORT: String(port), GATEWAY_CONFIG: file, DRAIN_DELAY_MS: '50', ...ANY_METRICS_PORTS }
  const gateway = await startTestProcess('gateway', env)
  t.teardown(() => gateway.stop())
  const call = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/peers.v1.Peer/Echo`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"7"}',
    })
    await response.text()
    return response.status
  }
  return { gateway, call }
}

/** Keeps `callers` calls in progress until `count` have ended. @param onCall called after each. @returns failed calls. */
async function load(call: () => Promise<number>, callers: number, count: number, onCall: (ended: number) => void) {
  let [started, ended, failed] = [0, 0, 0]
  const run = async () => {
    while (started < count) {
      started++
      if ((await call()) !== 200) failed++
      onCall(++ended)
    }
  }
  await Promise.all(Array.from({ length: callers }, run))
  return failed
}

t.test('kill -9 of one of two replicas under load: idempotent calls are repeated', { timeout: 120_000 }, async t => {
  const [first, second] = [await startReplica(t), await startReplica(t)]
  const { gateway, call } = await startGateway(t, [first.port, second.port], { retry: 'always' })
  // About 30 calls are in progress on each replica. Only those whose response began when it was killed may fail.
  const failed = await load(call, 60, 1500, ended => {
    if (ended === 500) first.process.kill('SIGKILL')
    if (ended === 1000) void startReplica(t, first.port)
  })
  t.ok(failed <= 15, `${failed} of 1500 calls failed`)
  const metrics = await scrape(gateway)
  const retries = samplesOf(metrics, 'upstream_retries_total')
  t.ok(
    retries.some(({ labels, value }) => labels['upstream'] === 'peer' && labels['outcome'] === 'sent' && value > 0),
    'the calls in progress were repeated',
  )
})

t.test('without retries, the calls in progress fail with 503, and no other', { timeout: 120_000 }, async t => {
  const [first, second] = [await startReplica(t), await startReplica(t)]
  const { call } = await startGateway(t, [first.port, second.port], { retry: 'never' })
  const failed = await load(call, 60, 600, ended => {
    if (ended === 300) first.process.kill('SIGKILL')
  })
  t.ok(failed >= 1 && failed <= 60, `${failed} calls failed; at most 60 were in progress`)
})
