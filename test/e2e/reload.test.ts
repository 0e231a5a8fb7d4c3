/** A gateway without auth-svc and Redis, in front of a service whose contract has no options. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { create, type DescMessage } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { parseContract, serviceOf } from '#runtime/grpc/contract.ts'
import { ANY_METRICS_PORTS } from '../../deploy/dev/services.ts'
import { buildImage } from '../support/contract.ts'
import { startUpstream } from '../support/echo-upstream.ts'
import { samplesOf, scrape } from '../support/scrape.ts'
import { openTestPort } from '../support/test-port.ts'
import { startTestProcess } from '../support/test-process.ts'
import { until } from '../support/until.ts'

t.setTimeout(300_000)

const image = buildImage({
  'shop.proto': `
    syntax = "proto3";
    package shop.v1;
    message Item { string id = 1; }
    service Shop {
      rpc Get(Item) returns (Item);
      rpc List(Item) returns (Item);
      rpc Watch(Item) returns (stream Item);
    }
  `,
})
const contract = parseContract(image)
const Item = contract.getMessage('shop.v1.Item') as DescMessage

type File = Record<string, unknown>

async function startAlone(t: Test, env: Record<string, string> = {}) {
  const streams = Promise.withResolvers<void>()
  const upstream = await startUpstream([serviceOf(contract, 'shop.v1.Shop')], ({ method, message, signal }) => {
    if (method !== 'Watch') return message
    return (async function* () {
      yield create(Item, { id: 'first' } as never)
      await Promise.race([streams.promise, new Promise(resolve => signal.addEventListener('abort', resolve))])
      yield create(Item, { id: 'last' } as never)
    })()
  })
  t.teardown(() => upstream.close())
  const folder = t.testdir({ 'shop.binpb': image })
  const file = path.join(folder, 'gateway.yaml')
  const entry = {
    name: 'shop',
    address: upstream.address,
    contract: 'shop.binpb',
    services: ['shop.v1.Shop'],
    unannotated: 'post',
    policies: { default: { access: 'internal' }, 'shop.v1.Shop/Get': { access: 'public' } } as File,
  }
  const limits = { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' } }
  const write = (changes: File) => writeFileSync(file, stringify({ upstreams: [{ ...entry, ...changes }], limits }))
  write({})
  const port = await openTestPort()
  const gateway = await startTestProcess('gateway', {
    GATEWAY_PORT: String(port),
    GATEWAY_CONFIG: file,
    DRAIN_DELAY_MS: '50',
    ...ANY_METRICS_PORTS,
    ...env,
  })
  t.teardown(() => gateway.stop())
  const call = (method: string, body: object = { id: '7' }) =>
    fetch(`http://127.0.0.1:${port}/shop.v1.Shop/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  /** Number of log lines with the message. */
  const logged = (msg: string) => gateway.entries.filter(candidate => candidate.msg === msg).length
  const reload = async (msg: string) => {
    const before = logged(msg)
    gateway.signal('SIGHUP')
    await until(
      async () => logged(msg),
      count => count > before,
    )
  }
  return { gateway, upstream, folder, write, call, reload, endStreams: () => streams.resolve() }
}

const RELOADED = 'configuration reloaded'
const NOT_RELOADED = 'configuration not reloaded; the current one stays in use'
const PUBLIC = { default: { access: 'public' } }

t.test('a gateway of public methods runs without auth-svc and Redis, and says that its limits are local', async t => {
  const { gateway, call } = await startAlone(t)
  const response = await call('Get')
  t.same([response.status, await response.json()], [200, { id: '7' }])
  t.ok(gateway.entries.some(({ msg }) => /REDIS_URL is not set.*alone/.test(msg)))
  const metrics = await scrape(gateway)
  t.same(
    samplesOf(metrics, 'rate_limit_fallback').map(({ value }) => value),
    [1],
  )
})

t.test('SIGHUP reloads gateway.yaml: a method appears, another disappears', async t => {
  const { call, write, reload } = await startAlone(t)
  t.same([(await call('Get')).status, (await call('List')).status], [200, 404])
  write({ policies: { default: { access: 'internal' }, 'shop.v1.Shop/List': { access: 'public' } } })
  await reload(RELOADED)
  t.same([(await call('Get')).status, (await call('List')).status], [404, 200])
})

t.test('with GATEWAY_WATCH=on, a changed file is reloaded, once it is valid', async t => {
  const { gateway, folder, call, write } = await startAlone(t, { GATEWAY_WATCH: 'on' })
  // The new file names a contract that does not exist yet.
  write({ contract: 'next.binpb', policies: { default: { access: 'public' } } })
  await gateway.entry(({ msg, reason }) => msg === NOT_RELOADED && reason === 'file changed')
  t.equal((await call('List')).status, 404)
  writeFileSync(path.join(folder, 'next.binpb'), image)
  await gateway.entry(({ msg, reason }) => msg === RELOADED && reason === 'file changed')
  t.equal((await call('List')).status, 200)
})

for (const watch of ['on', 'off']) {
  t.test(
    `workers take over a changed file by ${watch === 'on' ? 'watching it' : 'SIGHUP'}, and keep an invalid one out`,
    async t => {
      const { gateway, call, write } = await startAlone(t, { GATEWAY_WORKERS: '2', GATEWAY_WATCH: watch })
      const change = (changes: File) => {
        write(changes)
        if (watch === 'off') gateway.signal('SIGHUP')
      }
      change({ services: ['shop.v1.Shp'] })
      await gateway.entry(({ msg }) => msg === 'rolling restart aborted; keeping the remaining workers')
      t.ok(gateway.entries.some(({ level, msg }) => level === 'fatal' && msg.includes('no service shop.v1.Shp')))
      t.same([(await call('Get')).status, (await call('List')).status], [200, 404])

      const statuses = new Set<number>()
      let isOver = false
      const clients = Array.from({ length: 4 }, async () => {
        while (!isOver) statuses.add((await call('Get')).status)
      })
      change({ policies: { default: { access: 'public' } } })
      await gateway.entry(({ msg }) => msg === 'rolling restart completed')
      isOver = true
      await Promise.all(clients)
      t.same([...statuses], [200], 'no request fails')
      t.equal((await call('List')).status, 200)
    },
  )
}

t.test('an invalid file or contract changes nothing, and the log says why', async t => {
  const { gateway, folder, call, write, reload } = await startAlone(t)
  const faults: [change: File, problem: RegExp][] = [
    [{ adress: 'x' }, /gateway\.yaml:\d+: upstreams\[0\]: .*adress/],
    [{ services: ['shop.v1.Shp'] }, /upstream shop: .*no service shop\.v1\.Shp/],
    [{ contract: 'none.binpb' }, /upstream shop: cannot read the contract .*none\.binpb/],
    [{ policies: { default: { access: 'user' } } }, /REDIS_URL is required.*shop\.v1\.Shop\/Get/],
    [
      { policies: { ...PUBLIC, 'shop.v1.Shop/Get': { access: 'public', rateLimit: { class: 'none' } } } },
      /class "none"/,
    ],
    [{ address: 'ftp://host' }, /upstream shop: .*ftp:\/\/host/],
  ]
  for (const [change, problem] of faults) {
    write(change)
    await reload(NOT_RELOADED)
    t.match(gateway.entries.findLast(({ msg }) => msg === NOT_RELOADED)?.['problem'], problem)
    t.equal((await call('Get')).status, 200)
  }
  write({})
  writeFileSync(path.join(folder, 'shop.binpb'), 'no image')
  await reload(NOT_RELOADED)
  t.equal((await call('Get')).status, 200)
  const metrics = await scrape(gateway)
  t.match(samplesOf(metrics, 'configuration_reloads_total'), [
    { labels: { outcome: 'failure' }, value: faults.length + 1 },
  ])
})

t.test('reloads under load fail no request, and a stream continues', async t => {
  const { gateway, upstream, call, write, reload, endStreams } = await startAlone(t)
  write({ policies: PUBLIC })
  await reload(RELOADED)
  const stream = await call('Watch')
  const decoder = new TextDecoder()
  const reader = (stream.body as ReadableStream<Uint8Array>).getReader()
  t.match(decoder.decode((await reader.read()).value), /first/)

  const statuses: Record<string, number> = {}
  let isOver = false
  const clients = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      const result = await call('Get').then(
        async response => `${response.status} ${await response.text()}`,
        error => String((error as Error).cause ?? error),
      )
      statuses[result] = (statuses[result] ?? 0) + 1
    }
  })
  for (const [index, timeoutMs] of [2000, 2100, 2200].entries()) {
    // Every other reload has new connections to the upstream.
    write({ policies: PUBLIC, timeoutMs, ...(index % 2 === 1 && { maxMessageLength: 1_000_000 + index }) })
    await reload(RELOADED)
  }
  isOver = true
  await Promise.all(clients)
  t.strictSame(Object.keys(statuses), ['200 {"id":"7"}'])
  endStreams()
  t.match(decoder.decode((await reader.read()).value), /last/)
  t.ok((await reader.read()).done)
  t.ok(upstream.received.length > 10)
  await until(
    async () => samplesOf(await scrape(gateway), 'http_requests_in_flight')[0]?.value,
    value => value === 0,
  )
})

t.test('the streams of an old configuration end with an error when four newer ones are in use as well', async t => {
  const { call, write, reload, endStreams } = await startAlone(t, { STREAMS_PER_CALLER: '100' })
  write({ policies: PUBLIC })
  await reload(RELOADED)
  const streams: Promise<string>[] = []
  for (let timeoutMs = 2000; timeoutMs < 2005; timeoutMs++) {
    // A replaced configuration is kept only while it has a request in progress.
    streams.push((await call('Watch')).text())
    write({ policies: PUBLIC, timeoutMs })
    await reload(RELOADED)
  }
  t.match(await streams[0], /"code":"unavailable"/)
  endStreams()
  for (const stream of streams.slice(1)) t.match(await stream, /last/)
})
