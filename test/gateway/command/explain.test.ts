import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { explain } from '../../../gateway/command/explain.ts'
import { createTokenMint } from '../../support/token-mint.ts'
import { runCommand, shopFolder } from './shop.ts'

const ISSUER = 'https://issuer.example'
const ENV = { TOKEN_ISSUER: ISSUER, TOKEN_AUDIENCE: 'shop' }
const mint = createTokenMint({ issuer: ISSUER, audience: 'shop' })
const bearer = (token: string) => ['--header', `Authorization: Bearer ${token}`]

t.test('explain shows route, policy, limits and message of a request that reaches its upstream', async t => {
  const args = [...bearer(mint.access({ role: 'admin' })), '--data', '{"name": "pen", "price": 3}', 'post', '/v1/items']
  const { code, lines } = await runCommand(explain, shopFolder(t), args, ENV)
  t.equal(code, 0)
  const expected = [
    'request   POST /v1/items',
    'route     POST /v1/items',
    'rpc       shop.v1.Shop/CreateItem, upstream shop',
    'access    roles: admin',
    'limit     by user: user: 100 tokens, 10 per second, cost 1',
    'timeout   5000 ms',
    'success   201',
    'token     signature and revocation are not checked',
    'message   shop.v1.Item',
    '            "name": "pen",',
    '            "price": "3"',
    'result    sent to upstream shop at 127.0.0.1:50051',
  ]
  for (const line of expected) t.ok(lines.includes(line), `${line}\n${lines.join('\n')}`)
  t.ok(lines.some(line => line.startsWith('token     {"iss":"https://issuer.example"')))
})

interface Case {
  readonly request: string
  readonly args: readonly string[]
  /** Status and code of each refusal, and the fields of its violations. */
  readonly refusals: readonly string[]
  readonly message?: unknown
  readonly result?: RegExp
}

const CASES: Record<string, Case> = {
  'a public stream': { request: 'GET /v1/items', args: [], refusals: [], message: {} },
  'an absolute URL with a query': {
    request: 'GET https://shop.example/v1/items/a%2Fb?name=pen#top',
    args: bearer(mint.access({})),
    refusals: [],
    message: { id: 'a/b', name: 'pen' },
  },
  'a request without a token': {
    request: 'GET /v1/items/7',
    args: [],
    refusals: ['401 unauthenticated'],
    message: { id: '7' },
    result: /refused with 401 unauthenticated/,
  },
  'a request with several defects, in the order of the gateway': {
    request: 'POST /v1/items',
    args: ['-H', 'content-type: text/plain', '-d', '{"name": "p", "colour": 1}'],
    refusals: ['401 unauthenticated', '415 unsupported_media_type', '400 invalid_argument colour'],
    result: /refused with 401/,
  },
  'a body that breaks a field rule': {
    request: 'POST /v1/items',
    args: [...bearer(mint.access({ role: 'admin' })), '-d', '{"name": "p"}'],
    refusals: ['400 invalid_argument name'],
  },
  'a role that is not allowed': {
    request: 'POST /v1/items',
    args: [...bearer(mint.access({ role: 'user' })), '-d', '{"name": "pen"}'],
    refusals: ['403 permission_denied'],
    message: { name: 'pen' },
  },
  'an expired token': {
    request: 'GET /v1/items/7',
    args: bearer(mint.access({ exp: 1_000_000_000 })),
    refusals: ['401 token_expired'],
    message: { id: '7' },
  },
  'a token of another audience': {
    request: 'GET /v1/items/7',
    args: bearer(mint.access({ aud: 'other' })),
    refusals: ['401 token_invalid'],
    message: { id: '7' },
  },
  'a text that is no token': {
    request: 'GET /v1/items/7',
    args: bearer('secret'),
    refusals: ['401 token_invalid'],
    message: { id: '7' },
  },
  'a cookie of another site': {
    request: 'PUT /v1/basket',
    args: ['-H', 'Cookie: basket=b1', '-H', 'Origin: https://evil.example', '-d', '{"note": "n"}'],
    refusals: ['403 cross_site_request'],
    message: { token: 'b1', note: 'n' },
  },
  'a path without a route': { request: 'GET /v2/items', args: [], refusals: ['404 route_not_found'] },
  'a method that the path does not have': {
    request: 'DELETE /v1/items',
    args: [],
    refusals: ['405 method_not_allowed'],
  },
  'HEAD of a stream, which needs no call': {
    request: 'HEAD /v1/items',
    args: [],
    refusals: [],
    result: /answered with 200, without a call/,
  },
  'two tokens': {
    request: 'GET /v1/items/7',
    args: [...bearer('a'), ...bearer('b')],
    refusals: ['400 bad_request'],
  },
}

for (const [description, { request, args, refusals, message, result = /./ }] of Object.entries(CASES)) {
  t.test(`explain of ${description}`, async t => {
    const outcome = await runCommand(explain, shopFolder(t), ['--json', ...args, ...request.split(' ')], ENV)
    const explanation = JSON.parse(outcome.text)
    const found = explanation.refusals.map(
      ({ status, code, errors = [] }: { status: number; code: string; errors?: { field: string }[] }) =>
        [status, code, ...errors.map(({ field }) => field)].join(' '),
    )
    t.strictSame(found, refusals)
    t.equal(outcome.code, refusals.length === 0 ? 0 : 1)
    t.strictSame(explanation.message, message)
    t.match(explanation.result, result)
  })
}

t.test('explain names what is wrong with a token that is not accepted', async t => {
  for (const [token, defect] of [
    [
      mint.access({ iss: 'https://other.example' }),
      'iss is "https://other.example", and must be "https://issuer.example"',
    ],
    [mint.access({ exp: 1_000_000_000 }), 'it expired at 2001-09-09T01:46:40.000Z'],
    [mint.service(), 'typ is "service+jwt", and must be "at+jwt"'],
    ['a.b', 'it is not a JSON Web Token'],
  ] as const) {
    const { text } = await runCommand(explain, shopFolder(t), [...bearer(token), 'GET', '/v1/items/7'], ENV)
    t.match(text, `token     ${defect}`)
  }
})

t.test('a token that the key of the gateway did not sign is explained by its claims', async t => {
  const foreign = createTokenMint({ issuer: ISSUER, audience: 'shop' })
  const { code, text } = await runCommand(
    explain,
    shopFolder(t),
    [...bearer(foreign.access({ email: 'eve@example.com' })), 'GET', '/v1/items/7'],
    ENV,
  )
  t.equal(code, 0)
  t.match(text, 'eve@example.com')
})

t.test('explain reads the body from a file', async t => {
  const folder = shopFolder(t)
  writeFileSync(path.join(folder, 'item.json'), '{"name": "pen"}')
  const args = ['--json', ...bearer(mint.access({ role: 'admin' })), '--data', '@item.json', 'POST', '/v1/items']
  const { text } = await runCommand(explain, folder, args, ENV)
  t.match(JSON.parse(text), { message: { name: 'pen' } })
  const missing = [...args.slice(0, -3), '@missing.json', 'POST', '/v1/items']
  await t.rejects(runCommand(explain, folder, missing, ENV), { message: /cannot read the body: ENOENT/ })
})

t.test('the limits of a request do not depend on how often it is explained', async t => {
  const yaml = `upstreams:
  - { name: shop, address: 127.0.0.1:1, contract: shop.binpb, services: [shop.v1.Shop] }
limits:
  classes: { user: { capacity: 5, refill: 1 / 1h }, anonymous: { capacity: 1, refill: 1 / 1h } }
  methods: { shop.v1.Shop/GetItem: { cost: 5 } }
`
  const folder = shopFolder(t, { 'gateway.yaml': yaml })
  const args = ['--json', ...bearer(mint.access({ aud: 'x' })), 'GET', '/v1/items/7?colour=1']
  const { text } = await runCommand(explain, folder, args, ENV)
  t.match(JSON.parse(text).refusals, [{ code: 'token_invalid' }, { code: 'invalid_argument' }])
})

for (const [description, args, message] of [
  ['no arguments', [], /missing argument: METHOD URL/],
  ['no URL', ['GET'], /missing argument: URL/],
  ['an unknown option', ['--bod', 'x', 'GET', '/'], /--bod/],
  ['a surplus argument', ['GET', '/', 'x'], /unexpected argument: x/],
  ['a header without a value', ['-H', 'x', 'GET', '/'], /expected NAME: VALUE/],
  ['a URL that is no path', ['GET', 'v1/items'], /neither a path/],
] as const) {
  t.test(`${description} is an error of usage`, async t => {
    await t.rejects(runCommand(explain, shopFolder(t), args, ENV), { name: 'UsageError', message })
  })
}
