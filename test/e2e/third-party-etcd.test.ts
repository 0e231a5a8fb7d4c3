/**
 * The services of etcd behind the gateway, without a change to its .proto files: policies and additional HTTP rules are in
 * gateway.yaml. etcd has google.api.http options for most methods, and no policies.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { stringify } from 'yaml'
import { ETCD_IMAGE, prepareEtcd, startEtcd } from '../support/etcd/etcd.ts'
import { startSystem } from '../support/test-system.ts'

// Go compiles etcd in the first run.
t.setTimeout(600_000)

const skip = (await prepareEtcd()) ?? false

const base64 = (text: string) => Buffer.from(text).toString('base64')
const fromBase64 = (text: string) => Buffer.from(text, 'base64').toString()
const PREFIX = { key: base64('fruit/'), rangeEnd: base64('fruit0') }

const UPSTREAM = {
  name: 'etcd',
  contract: ETCD_IMAGE,
  services: ['etcdserverpb.KV', 'etcdserverpb.Lease', 'etcdserverpb.Watch', 'etcdserverpb.Maintenance'],
  httpRules: 'http-rules.yaml',
  health: true,
  policies: {
    default: { access: 'internal' },
    'etcdserverpb.KV': { access: 'user' },
    'etcdserverpb.KV/Range': { access: 'public' },
    'etcdserverpb.KV/RangeStream': { access: 'public' },
    'etcdserverpb.KV/DeleteRange': { access: 'roles', roles: ['admin'] },
    'etcdserverpb.Lease': { access: 'user' },
    'etcdserverpb.Lease/LeaseGrant': { access: 'user', successStatus: 201 },
    'etcdserverpb.Watch': { access: 'user' },
    'etcdserverpb.Maintenance/Status': { access: 'public' },
    'etcdserverpb.Maintenance/Snapshot': { access: 'roles', roles: ['admin'] },
  },
}

const HTTP_RULES = `
type: google.api.Service
config_version: 3
http:
  rules:
    # For a stream that etcd offers over gRPC only.
    - selector: etcdserverpb.KV.RangeStream
      get: /v3/keys
    - selector: etcdserverpb.Lease.LeaseGrant
      post: /v3/leases/{ID}
      body: "*"
    - selector: etcdserverpb.Lease.LeaseTimeToLive
      get: /v3/leases/{ID}
    - selector: etcdserverpb.Lease.LeaseRevoke
      delete: /v3/leases/{ID}
`

async function startBehindGateway(t: Test) {
  const address = await startEtcd(t)
  const system = await startSystem(t)
  const folder = t.testdir({ 'http-rules.yaml': HTTP_RULES })
  const file = path.join(folder, 'gateway.yaml')
  const limits = { classes: { user: 'unlimited', anonymous: 'unlimited', other: 'unlimited' } }
  writeFileSync(file, stringify({ upstreams: [{ ...UPSTREAM, address }], limits }))
  const gateway = await system.startGateway({ GATEWAY_CONFIG: file })
  const post = (url: string, body: object, token?: string) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
    })
  const tokenOf = async (path: string, body: object): Promise<string> => {
    const response = await post(`${system.url}/v1/auth/${path}`, body)
    return ((await response.json()) as { accessToken: string }).accessToken
  }
  const password = 'a plain but lengthy phrase'
  return {
    gateway,
    /** Sends POST. @returns status and JSON of the response. */
    async call(path: string, body: object, token?: string) {
      const response = await post(`${gateway.url}${path}`, body, token)
      return { status: response.status, json: (await response.json()) as Record<string, unknown> }
    },
    get: (path: string, token?: string) =>
      fetch(`${gateway.url}${path}`, { headers: { ...(token && { authorization: `Bearer ${token}` }) } }),
    user: await tokenOf('signup', { email: 'ada@example.com', password, name: 'Ada' }),
    admin: await tokenOf('login', system.administrator),
  }
}

t.test('the services of etcd are a REST API by gateway.yaml alone', { skip }, async t => {
  const { gateway, call, get, user, admin } = await startBehindGateway(t)

  await t.test('its methods without a token are those that gateway.yaml makes public', async t => {
    t.match(await call('/v3/maintenance/status', {}), { status: 200, json: { version: /^3\.\d+\.\d+$/ } })
    t.match(await call('/v3/kv/put', {}), { status: 401, json: { code: 'unauthenticated' } })
    t.equal((await call('/v3/kv/deleterange', {}, user)).status, 403)
    t.equal((await call('/v3/maintenance/defragment', {}, admin)).status, 404, 'internal methods have no route')
  })

  await t.test('a user writes keys, anyone reads them, an administrator deletes them', async t => {
    for (const [name, color] of [
      ['apple', 'green'],
      ['banana', 'yellow'],
      ['cherry', 'red'],
    ] as const) {
      const put = await call('/v3/kv/put', { key: base64(`fruit/${name}`), value: base64(color) }, user)
      t.match(put, { status: 200, json: { header: { revision: /^\d+$/ } } })
    }
    const read = await call('/v3/kv/range', { ...PREFIX, sortOrder: 'DESCEND', sortTarget: 'KEY' })
    const { kvs, count } = read.json as { kvs: { key: string; value: string }[]; count: string }
    t.same(
      kvs.map(({ key, value }) => `${fromBase64(key)} ${fromBase64(value)}`),
      ['fruit/cherry red', 'fruit/banana yellow', 'fruit/apple green'],
    )
    t.equal(count, '3')

    const transaction = await call(
      '/v3/kv/txn',
      {
        compare: [{ key: base64('fruit/apple'), target: 'VALUE', value: base64('green') }],
        success: [{ requestPut: { key: base64('fruit/apple'), value: base64('ripe') } }],
        failure: [{ requestRange: { key: base64('fruit/apple') } }],
      },
      user,
    )
    t.match(transaction, { status: 200, json: { succeeded: true, responses: [{ responsePut: Object }] } })
    const removed = await call('/v3/kv/deleterange', { key: base64('fruit/cherry') }, admin)
    t.match(removed, { status: 200, json: { deleted: '1' } })
  })

  await t.test('a server stream that etcd offers over gRPC only is NDJSON and server-sent events', async t => {
    const query = new URLSearchParams({ key: PREFIX.key, range_end: PREFIX.rangeEnd })
    const response = await get(`/v3/keys?${query}`)
    t.equal(response.status, 200)
    t.match(response.headers.get('content-type'), /ndjson/)
    const chunks = (await response.text())
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    t.same(
      chunks.flatMap(({ rangeResponse: { kvs = [] } }) =>
        kvs.map(({ key, value }: { key: string; value: string }) => `${fromBase64(key)} ${fromBase64(value)}`),
      ),
      ['fruit/apple ripe', 'fruit/banana yellow'],
    )
    const events = await fetch(`${gateway.url}/v3/keys?${query}`, { headers: { accept: 'text/event-stream' } })
    t.match(await events.text(), /^data: \{"rangeResponse"/)
  })

  await t.test('a snapshot of the store is a stream whose parts are a BoltDB file', async t => {
    const response = await fetch(`${gateway.url}/v3/maintenance/snapshot`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${admin}` },
      body: '{}',
    })
    t.equal(response.status, 200)
    const parts = (await response.text())
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line))
    t.equal(parts.at(-1)?.remainingBytes, '0')
    const file = Buffer.concat(parts.map(({ blob = '' }) => Buffer.from(blob, 'base64')))
    t.equal(file.readUInt32LE(16), 0xed0cdaed, 'the magic number of BoltDB')
  })

  await t.test('the message of an error of etcd reaches the client, with the status of its code', async t => {
    t.match(await call('/v3/kv/compaction', { revision: '999999' }, user), {
      status: 400,
      json: { code: 'out_of_range', detail: 'etcdserver: mvcc: required revision is a future revision' },
    })
    t.match(await call('/v3/kv/put', { key: base64('a'), lease: '77' }, user), {
      status: 404,
      json: { code: 'not_found', detail: 'etcdserver: requested lease not found' },
    })
    t.match(await call('/v3/kv/range', { key: base64('a'), limit: 'many' }), {
      status: 400,
      json: { code: 'invalid_argument', errors: [{ field: 'limit' }] },
    })
    const stream = await get(`/v3/keys?key=${encodeURIComponent(base64('a'))}&revision=999999`)
    t.equal(stream.status, 400, 'a stream that fails before its first message')
    t.match(await stream.json(), { detail: 'etcdserver: mvcc: required revision is a future revision' })
  })

  await t.test('the HTTP rules of gateway.yaml replace those of etcd', async t => {
    t.match(await call('/v3/leases/4711', { TTL: 600 }, user), { status: 201, json: { ID: '4711', TTL: '600' } })
    t.match(await (await get('/v3/leases/4711?keys=true', user)).json(), { ID: '4711', grantedTTL: '600' })
    t.equal((await call('/v3/lease/grant', { TTL: 600 }, user)).status, 404)
    t.match(await call('/v3/leases/4711', { TTL: 600 }, user), {
      status: 400,
      json: { code: 'failed_precondition', detail: 'etcdserver: lease already exists' },
    })
  })

  await t.test('methods with a request stream are left out with one warning each', async t => {
    const warnings = gateway.entries.filter(({ level }) => level === 'warn').map(entry => JSON.stringify(entry))
    for (const method of ['etcdserverpb.Watch/Watch', 'etcdserverpb.Lease/LeaseKeepAlive']) {
      t.equal(warnings.filter(line => line.includes(method) && line.includes('request stream')).length, 1, method)
    }
    t.equal((await call('/v3/watch', {}, user)).status, 404)
  })

  await t.test('the OpenAPI document has the operations and the comments of etcd', async t => {
    const { paths } = (await (await get('/openapi.json')).json()) as {
      paths: Record<string, Record<string, { summary: string; operationId: string }>>
    }
    t.match(paths['/v3/kv/range']?.['post'], { summary: /^Range gets the keys/, operationId: /KV_Range$/ })
    t.match(paths['/v3/leases/{ID}']?.['delete'], { operationId: /Lease_LeaseRevoke$/ })
    t.notOk(paths['/v3/maintenance/defragment'])
  })
})
