/** The limits of a whole gateway, from a request to what the client is told. */
import http from 'node:http'
import { create, type DescMessage } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import { unauthenticated } from '#runtime/status.ts'
import { limitsSchema } from '../../../../gateway/edge/limits/limit-classes.ts'
import { createLocalBuckets } from '../../../../gateway/edge/limits/local-buckets.ts'
import { buildContract } from '../../../support/contract.ts'
import { startTestGateway } from '../../../support/test-gateway.ts'

const METHODS: Record<string, string> = {
  open: 'access: ACCESS_PUBLIC',
  login: 'access: ACCESS_PUBLIC rate_limit: { class: "auth" refund_on_success: true }',
  maybe: 'access: ACCESS_OPTIONAL',
  leave: 'access: ACCESS_OPTIONAL tolerate_invalid_token: true',
  own: 'access: ACCESS_USER',
  dear: 'access: ACCESS_USER rate_limit: { class: "search" cost: 4 }',
  rule: 'access: ACCESS_ROLES roles: ["admin"]',
  free: 'access: ACCESS_PUBLIC rate_limit: { class: "none" }',
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
  },
})

async function startGateway(t: Test, { trustedProxies = [] }: { trustedProxies?: string[] } = {}) {
  const Message = contract.getMessage('x.v1.Message') as DescMessage
  const clock = { us: 0 }
  const decisions: string[] = []
  const { port, mint, upstream } = await startTestGateway(t, {
    contract,
    service: 'x.v1.Service',
    answer: ({ message }) => {
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

  /** @param from another of the machine's own addresses, 127.0.0.0/8. */
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

t.test('every limited answer says what is allowed and what is left', async t => {
  const { get, bearer, clock, decisions } = await startGateway(t)
  const first = await get('/own', { ...bearer(ADA), origin: 'https://app.example' })
  t.match(first, {
    status: 200,
    headers: { 'ratelimit-policy': '"user";q=3;w=3', ratelimit: '"user";r=2;t=1', 'retry-after': undefined },
  })
  const exposed = String(first.headers['access-control-expose-headers']).toLowerCase().split(/, */)
  t.ok(exposed.includes('ratelimit') && exposed.includes('ratelimit-policy'), 'pages may read it')
  await get('/own', bearer(ADA))
  await get('/own', bearer(ADA))
  clock.us = 300_000
  const refused = await get('/own', bearer(ADA))
  t.match(refused, {
    status: 429,
    headers: {
      'content-type': /^application\/problem\+json/,
      'ratelimit-policy': '"user";q=3;w=3',
      ratelimit: '"user";r=0;t=1',
      'retry-after': '1',
    },
    body: { status: 429, title: 'Too Many Requests', code: 'rate_limited', instance: '/own', trace_id: String },
  })
  clock.us = 1_000_000
  t.equal((await get('/own', bearer(ADA))).status, 200, 'as it said')
  t.strictSame([...new Set(decisions)], ['user admitted', 'user refused'])
})

t.test('a user has one bucket wherever the requests come from, and each user their own', async t => {
  const { statuses, bearer } = await startGateway(t)
  t.strictSame(await statuses(2, '/own', bearer(ADA), '127.0.0.2'), [200, 200])
  t.strictSame(await statuses(2, '/maybe', bearer(ADA), '127.0.0.3'), [200, 429])
  t.strictSame(await statuses(3, '/own', bearer(BOB), '127.0.0.2'), [200, 200, 200])
})

t.test('who is not signed in is limited by address', async t => {
  const { statuses } = await startGateway(t)
  t.strictSame(await statuses(5, '/open', {}, '127.0.0.2'), [200, 200, 200, 200, 429])
  t.strictSame(await statuses(1, '/maybe', {}, '127.0.0.2'), [429], 'on all methods together')
  t.strictSame(await statuses(1, '/open', {}, '127.0.0.3'), [200])
})

t.test('a dear method takes as much as it costs', async t => {
  const { get, statuses, bearer } = await startGateway(t)
  t.strictSame(await statuses(2, '/dear', bearer(ADA)), [200, 200])
  const refused = await get('/dear', bearer(ADA))
  t.match(refused, { status: 429, headers: { ratelimit: '"search";r=0;t=1', 'retry-after': '1' } })
  t.equal((await get('/own', bearer(ADA))).status, 200, 'another class is another bucket')
})

t.test('no token, or one that is refused, counts against the address, which then has no more answers', async t => {
  const { get, statuses, mint, bearer } = await startGateway(t)
  const forged = { authorization: `Bearer ${mint.forgeries()['another key']}` }
  const first = await get('/own', forged, '127.0.0.2')
  t.match(first, { status: 401, headers: { ratelimit: /^"anonymous";r=3;/, 'www-authenticate': /invalid_token/ } })
  t.strictSame(await statuses(4, '/own', {}, '127.0.0.2'), [401, 401, 401, 429])
  t.strictSame(await statuses(1, '/rule', forged, '127.0.0.2'), [429])
  t.strictSame(await statuses(1, '/own', { authorization: 'Basic YTpi' }, '127.0.0.2'), [429])
  t.strictSame(await statuses(1, '/own', bearer(ADA), '127.0.0.2'), [200], 'others behind it are served')
})

t.test('a call that is not allowed counts like any other of its user', async t => {
  const { get, statuses, bearer } = await startGateway(t)
  const first = await get('/rule', bearer(ADA))
  t.match(first, { status: 403, headers: { ratelimit: '"user";r=2;t=1' }, body: { code: 'permission_denied' } })
  t.strictSame(await statuses(3, '/rule', bearer(ADA)), [403, 403, 429])
  t.strictSame(await statuses(1, '/rule', bearer(BOB)), [403])
})

t.test('an invalid token where none is needed counts once, as none', async t => {
  const { get, mint } = await startGateway(t)
  const forged = { authorization: `Bearer ${mint.forgeries()['another key']}` }
  t.match(await get('/leave', forged), { status: 200, headers: { ratelimit: /^"anonymous";r=3;/ } })
  t.match(await get('/maybe', forged), { status: 401, headers: { ratelimit: /^"anonymous";r=2;/ } })
})

t.test('only sign-ins that fail count', async t => {
  const { get, statuses } = await startGateway(t)
  t.strictSame(await statuses(6, '/login'), [200, 200, 200, 200, 200, 200])
  t.strictSame(await statuses(3, '/login?fail=true'), [401, 401, 429])
  const refused = await get('/login')
  t.match(refused, { status: 429, headers: { 'ratelimit-policy': '"auth";q=2;w=900', 'retry-after': '450' } })
})

t.test('what is unlimited says nothing of limits', async t => {
  const { get, statuses } = await startGateway(t)
  t.strictSame(new Set(await statuses(10, '/free')), new Set([200]))
  for (const path of ['/free', '/healthz', '/readyz']) {
    const { headers } = await get(path)
    t.strictSame([headers.ratelimit, headers['ratelimit-policy']], [undefined, undefined], path)
  }
})

t.test("a stranger's X-Forwarded-For changes nothing, a trusted proxy's does", async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.9'] })
  const forwarded = (address: string) => ({ 'x-forwarded-for': address })
  for (const n of [1, 2, 3, 4]) await statuses(1, '/open', forwarded(`203.0.113.${n}`), '127.0.0.2')
  t.strictSame(await statuses(1, '/open', forwarded('203.0.113.5'), '127.0.0.2'), [429], 'a stranger')

  t.strictSame(await statuses(5, '/open', forwarded('203.0.113.1'), '127.0.0.9'), [200, 200, 200, 200, 429])
  t.strictSame(await statuses(1, '/open', forwarded('203.0.113.2'), '127.0.0.9'), [200])
  t.strictSame(await statuses(1, '/open', forwarded('198.51.100.7, 203.0.113.1'), '127.0.0.9'), [429], 'the last one')
})

t.test('the addresses of one IPv6 network are one client', async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.1'] })
  const forwarded = (address: string) => ({ 'x-forwarded-for': address })
  for (const n of [1, 2, 3, 4]) await statuses(1, '/open', forwarded(`2001:db8:0:1:${n}::${n}`))
  t.strictSame(await statuses(1, '/open', forwarded('2001:db8:0:1:ffff::')), [429])
  t.strictSame(await statuses(1, '/open', forwarded('2001:db8:0:2::1')), [200])
  t.strictSame(await statuses(2, '/open', forwarded('::ffff:192.0.2.1')), [200, 200])
  t.strictSame(await statuses(3, '/open', forwarded('192.0.2.1')), [200, 200, 429], 'IPv4 in IPv6 is IPv4')
})

t.test("what a proxy passes on and is no address counts as the proxy's own", async t => {
  const { statuses } = await startGateway(t, { trustedProxies: ['127.0.0.1'] })
  for (const n of [1, 2, 3, 4]) await statuses(1, '/open', { 'x-forwarded-for': `nonsense-${n}` })
  t.strictSame(await statuses(1, '/open', { 'x-forwarded-for': 'x'.repeat(5000) }), [429])
})
