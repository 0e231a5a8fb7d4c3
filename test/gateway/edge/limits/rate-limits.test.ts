/** Rate limits through a complete gateway: statuses and header fields that a client receives. */
import http from 'node:http'
import { create, type DescMessage } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { unauthenticated } from '#runtime/status.ts'
import { limitsSchema } from '../../../../gateway/edge/limits/limit-classes.ts'
import { createLocalBuckets } from '../../../../gateway/edge/limits/local-buckets.ts'
import { policyOf } from '../../../../gateway/edge/limits/rate-limits.ts'
import { bucketShape } from '../../../../gateway/edge/limits/token-bucket.ts'
import { limitItem } from '../../../../gateway/http/rate-limit-fields.ts'
import { buildContract } from '../../../support/contract.ts'
import { startTestGateway } from '../../../support/test-gateway.ts'

const METHODS: Record<string, string> = {
  public: 'access: ACCESS_PUBLIC',
  login: 'access: ACCESS_PUBLIC rate_limit: { class: "auth" refund_on_success: true }',
  optional: 'access: ACCESS_OPTIONAL',
  tolerant: 'access: ACCESS_OPTIONAL tolerate_invalid_token: true',
  user: 'access: ACCESS_USER',
  search: 'access: ACCESS_USER rate_limit: { class: "search" cost: 4 }',
  admin: 'access: ACCESS_ROLES roles: ["admin"]',
  unlimited: 'access: ACCESS_PUBLIC rate_limit: { class: "none" }',
}

const contract = buildContract({
  'x.proto': `
    syntax = "proto3";
    package x.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    message Message { bool fail = 1; }
    service Service {
      ${Object.entries(METHODS)
        .map(
          ([name, policy]) => `rpc ${name}(Message) returns (Message) {
            option (google.api.http) = { get: "/${name}" };
            option (edge.v1.policy) = { ${policy} };
          }`,
        )
        .join('\n')}
    }`,
})

const settings = limitsSchema.parse({
  classes: {
    user: { capacity: 3, refill: '1 / 1s' },
    anonymous: { capacity: 4, refill: '4 / 15m' },
    auth: { capacity: 2, refill: '2 / 15m' },
    search: { capacity: 10, refill: '2 / 1s' },
    none: 'unlimited',
    other: { capacity: 3, refill: '3 / 1m' },
  },
})

async function startGateway(t: Test, { trustedProxies = [] }: { trustedProxies?: string[] } = {}) {
  const Message = contract.getMessage('x.v1.Message') as DescMessage
  const clock = { us: 0 }
  const decisions: string[] = []
  const { port, mint, upstream } = await startTestGateway(t, {
    contract,
    service: 'x.v1.Service',
    respond: ({ message }) => {
      if ((message as { fail?: boolean }).fail) throw unauthenticated('invalid_credentials', 'Wrong')
      return create(Message)
    },
    limits: {
      settings,
      buckets: createLocalBuckets({ nowUs: () => clock.us }),
      onDecision: (limitClass, decision) => decisions.push(`${limitClass} ${decision}`),
    },
    trustedProxies,
  })

  /** @param from client address in 127.0.0.0/8. */
  function get(path: string, headers: Record<string, string> = {}, from = '127.0.0.1') {
    return new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: Record<string, unknown> }>(
      (resolve, reject) => {
        http
          .get({ port, host: '127.0.0.1', localAddress: from, path, headers, agent: false }, response => {
            let text = ''
            response.setEncoding('utf8')
            response.on('data', part => {
              text += part
            })
            response.on('end', () =>
              resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text || '{}') }),
            )
          })
          .on('error', reject)
      },
    )
  }
  const statuses = async (times: number, path: string, headers: Record<string, string> = {}, from?: string) => {
    const all: number[] = []
    for (let n = 0; n < times; n++) all.push((await get(path, headers, from)).status)
    return all
  }
  const bearer = (sub?: string) => ({ authorization: `Bearer ${mint.access(sub === undefined ? {} : { sub })}` })
  return { get, statuses, bearer, mint, clock, decisions, upstream }
}

const ADA = '01890000-0000-7000-8000-000000000001'
const BOB = '01890000-0000-7000-8000-000000000002'

t.test('responses carry RateLimit-Policy and RateLimit; a 429 response carries Retry-After as well', async t => {
  const { get, bearer, clock, decisions } = await startGateway(t)
  const first = await get('/user', { ...bearer(ADA), origin: 'https://app.example' })
  t.match(first, {
    status: 200,
    headers: { 'ratelimit-policy': '"user";q=3;w=3', ratelimit: '"user";r=2;t=1', 'retry-after': undefined },
  })
  const exposed = String(first.headers['access-control-expose-headers']).toLowerCase().split(/, */)
  t.ok(exposed.includes('ratelimit') && exposed.includes('ratelimit-policy'), 'exposed to scripts by CORS')
  await get('/user', bearer(ADA))
  await get('/user', bearer(ADA))
  clock.us = 300_000
  const rejected = await get('/user', bearer(ADA))
  t.match(rejected, {
    status: 429,
    headers: {
      'content-type': /^application\/problem\+json/,
      'ratelimit-policy': '"user";q=3;w=3',
      ratelimit: '"user";r=0;t=1',
      'retry-after': '1',
    },
    body: { status: 429, title: 'Too Many Requests', code: 'rate_limited', instance: '/user', trace_id: String },
  })
  clock.us = 1_000_000
  t.equal((await get('/user', bearer(ADA))).status, 200, 'admitted after Retry-After')
  t.strictSame([...new Set(decisions)], ['user admitted', 'user refused'])
})

t.test('each user has one bucket, whatever the client address', async t => {
  const { statuses, bearer } = await startGateway(t)
  t.strictSame(await statuses(2, '/user', bearer(ADA), '127.0.0.2'), [200, 200])
  t.strictSame(await statuses(2, '/optional', bearer(ADA), '127.0.0.3'), [200, 429])
  t.strictSame(await statuses(3, '/user', bearer(BOB), '127.0.0.2'), [200, 200, 200])
})

t.test('anonymous requests are limited by client address', async t => {
  const { statuses } = await startGateway(t)
  t.strictSame(await statuses(5, '/public', {}, '127.0.0.2'), [200, 200, 200, 200, 429])
  t.strictSame(await statuses(1, '/optional', {}, '127.0.0.2'), [429], 'all methods of a class share the bucket')
  t.strictSame(await statuses(1, '/public', {}, '127.0.0.3'), [200])
})

t.test('a request is charged the cost of its method', async t => {
  const { get, statuses, bearer } = await startGateway(t)
  t.strictSame(await statuses(2, '/search', bearer(ADA)), [200, 200])
  const rejected = await get('/search', bearer(ADA))
  t.match(rejected, { status: 429, headers: { ratelimit: '"search";r=0;t=1', 'retry-after': '1' } })
  t.equal((await get('/user', bearer(ADA))).status, 200, 'each class has its own bucket')
})

t.test('requests with a missing or invalid token are charged to the client address until 429', async t => {
  const { get, statuses, mint, bearer } = await startGateway(t)
  const forged = { authorization: `Bearer ${mint.forgeries()['another key']}` }
  const first = await get('/user', forged, '127.0.0.2')
  t.match(first, { status: 401, headers: { ratelimit: /^"anonymous";r=3;/, 'www-authenticate': /invalid_token/ } })
  t.strictSame(await statuses(4, '/user', {}, '127.0.0.2'), [401, 401, 401, 429])
  t.strictSame(await statuses(1, '/admin', forged, '127.0.0.2'), [429])
  t.strictSame(await statuses(1, '/user', { authorization: 'Basic YTpi' }, '127.0.0.2'), [429])
  t.strictSame(
    await statuses(1, '/user', bearer(ADA), '127.0.0.2'),
    [200],
    'valid tokens from the same address are admitted',
  )
})

t.test('a 403 response counts against the limit of the user', async t => {
  const { get, statuses, bearer } = await startGateway(t)
  const first = await get('/admin', bearer(ADA))
  t.match(first, { status: 403, headers: { ratelimit: '"user";r=2;t=1' }, body: { code: 'permission_denied' } })
  t.strictSame(await statuses(3, '/admin', bearer(ADA)), [403, 403, 429])
  t.strictSame(await statuses(1, '/admin', bearer(BOB)), [403])
})

t.test('an invalid token on a method with optional access is charged once, to the client address', async t => {
  const { get, mint } = await startGateway(t)
  const forged = { authorization: `Bearer ${mint.forgeries()['another key']}` }
  t.match(await get('/tolerant', forged), { status: 200, headers: { ratelimit: /^"anonymous";r=3;/ } })
  t.match(await get('/optional', forged), { status: 401, headers: { ratelimit: /^"anonymous";r=2;/ } })
})

t.test('with refund_on_success only failed requests count', async t => {
  const { get, statuses } = await startGateway(t)
  t.strictSame(await statuses(6, '/login'), [200, 200, 200, 200, 200, 200])
  t.strictSame(await statuses(3, '/login?fail=true'), [401, 401, 429])
  const rejected = await get('/login')
  t.match(rejected, { status: 429, headers: { 'ratelimit-policy': '"auth";q=2;w=900', 'retry-after': '450' } })
})

t.test('responses of unlimited methods and of health endpoints carry no RateLimit fields', async t => {
  const { get, statuses } = await startGateway(t)
  t.strictSame(new Set(await statuses(10, '/unlimited')), new Set([200]))
  for (const path of ['/unlimited', '/healthz', '/readyz']) {
    const { headers } = await get(path)
    t.strictSame([headers.ratelimit, headers['ratelimit-policy']], [undefined, undefined], path)
  }
})

t.test('requests for no method of the contract are limited by address, in the class other', async t => {
  const { get, statuses } = await startGateway(t)
  const preflight = { origin: 'https://app.example', 'access-control-request-method': 'GET' }
  for (const [from, path, headers, status] of [
    ['127.0.0.2', '/none', {}, 404],
    ['127.0.0.3', '/%ff', {}, 400],
    ['127.0.0.4', '/openapi.json', {}, 200],
  ] as const) {
    t.strictSame(await statuses(4, path, headers, from), [status, status, status, 429], path)
  }
  const limited = await get('/none', preflight, '127.0.0.2')
  t.match(limited, {
    status: 429,
    headers: { 'ratelimit-policy': '"other";q=3;w=60', 'access-control-allow-origin': 'https://app.example' },
    body: { code: 'rate_limited' },
  })
  t.equal((await get('/healthz', {}, '127.0.0.2')).status, 200, 'health endpoints have no limit')
  t.equal((await get('/public', {}, '127.0.0.2')).status, 200, 'methods have their own')
})

t.test('X-Forwarded-For changes the client address only if a trusted proxy sends it', async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.9'] })
  const forwarded = (address: string) => ({ 'x-forwarded-for': address })
  for (const n of [1, 2, 3, 4]) await statuses(1, '/public', forwarded(`203.0.113.${n}`), '127.0.0.2')
  t.strictSame(await statuses(1, '/public', forwarded('203.0.113.5'), '127.0.0.2'), [429], 'untrusted peer')

  t.strictSame(await statuses(5, '/public', forwarded('203.0.113.1'), '127.0.0.9'), [200, 200, 200, 200, 429])
  t.strictSame(await statuses(1, '/public', forwarded('203.0.113.2'), '127.0.0.9'), [200])
  t.strictSame(
    await statuses(1, '/public', forwarded('198.51.100.7, 203.0.113.1'), '127.0.0.9'),
    [429],
    'the last address counts',
  )
})

t.test('addresses of one IPv6 /64 network share a bucket', async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.1'] })
  const forwarded = (address: string) => ({ 'x-forwarded-for': address })
  for (const n of [1, 2, 3, 4]) await statuses(1, '/public', forwarded(`2001:db8:0:1:${n}::${n}`))
  t.strictSame(await statuses(1, '/public', forwarded('2001:db8:0:1:ffff::')), [429])
  t.strictSame(await statuses(1, '/public', forwarded('2001:db8:0:2::1')), [200])
  t.strictSame(await statuses(2, '/public', forwarded('::ffff:192.0.2.1')), [200, 200])
  t.strictSame(
    await statuses(3, '/public', forwarded('192.0.2.1')),
    [200, 200, 429],
    'an IPv4-mapped address is an IPv4 address',
  )
})

t.test('clients behind a proxy that adds ports to X-Forwarded-For have buckets of their own', async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.1'] })
  const forwarded = (address: string) => ({ 'x-forwarded-for': address })
  t.strictSame(await statuses(5, '/public', forwarded('203.0.113.1:50001')), [200, 200, 200, 200, 429])
  t.strictSame(await statuses(1, '/public', forwarded('203.0.113.1:50002')), [429], 'another port')
  t.strictSame(await statuses(1, '/public', forwarded('203.0.113.2:50001')), [200], 'another client')
})

t.test('if X-Forwarded-For of a trusted proxy is not an address, the address of the proxy counts', async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.1'] })
  for (const n of [1, 2, 3, 4]) await statuses(1, '/public', { 'x-forwarded-for': `nonsense-${n}` })
  t.strictSame(await statuses(1, '/public', { 'x-forwarded-for': 'x'.repeat(5000) }), [429])
})

t.test('policyOf gives capacity and window in seconds, limitItem the remaining tokens and the wait', async t => {
  t.equal(policyOf('user', bucketShape(100, 10, 1e6)), '"user";q=100;w=10')
  t.equal(policyOf('auth', bucketShape(5, 5, 900e6)), '"auth";q=5;w=900')
  t.equal(policyOf('fast', bucketShape(1, 1000, 1e6)), '"fast";q=1;w=1', 'the window is at least one second')
  t.equal(limitItem('user', 99, 1), '"user";r=99;t=1')
})
