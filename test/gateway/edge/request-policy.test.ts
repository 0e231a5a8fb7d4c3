import { randomUUID } from 'node:crypto'
/** The checks of a request policy in a Fastify instance whose handlers return the principal. */
import fastifyCookie from '@fastify/cookie'
import Fastify, { type InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { acceptTrace } from '#runtime/observability/request-trace.ts'
import { buildRouteTable } from '../../../gateway/contract/route-table.ts'
import type { Buckets } from '../../../gateway/edge/limits/buckets.ts'
import { limitsSchema } from '../../../gateway/edge/limits/limit-classes.ts'
import { registerRequestPolicies } from '../../../gateway/edge/request-policy.ts'
import { createRevocationSet } from '../../../gateway/edge/revocations/revocation-set.ts'
import { registerClientAddress } from '../../../gateway/http/client-address.ts'
import { toProblem } from '../../../gateway/http/problem.ts'
import { routerPath } from '../../../gateway/http/routing.ts'
import { buildContract } from '../../support/contract.ts'
import { createTokenMint } from '../../support/token-mint.ts'

const METHODS: Record<string, [input: string, policy: string]> = {
  public: ['Empty', 'access: ACCESS_PUBLIC'],
  optional: ['Empty', 'access: ACCESS_OPTIONAL'],
  user: ['Empty', 'access: ACCESS_USER'],
  admin: ['Empty', 'access: ACCESS_ROLES roles: ["admin"]'],
  staff: ['Empty', 'access: ACCESS_ROLES roles: ["editor", "moderator"]'],
  cookie: ['WithCookie', 'access: ACCESS_PUBLIC'],
  userCookie: ['WithCookie', 'access: ACCESS_USER'],
}

const contract = buildContract({
  'x.proto': `
    syntax = "proto3";
    package x.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    message Empty {}
    message WithCookie {
      string session = 1 [(edge.v1.cookie) = { name: "__Secure-session" path: "/" }];
      string device = 2 [(edge.v1.cookie) = { name: "__Secure-device" path: "/" }];
    }
    service Service {
      ${Object.entries(METHODS)
        .map(
          ([name, [input, policy]]) => `rpc ${name}(${input}) returns (Empty) {
            option (google.api.http) = { post: "/${name}" body: "*" };
            option (edge.v1.policy) = { ${policy} };
          }`,
        )
        .join('\n')}
    }`,
})
const routes = buildRouteTable([{ service: serviceOf(contract, 'x.v1.Service'), upstream: 'x' }])
const settings = limitsSchema.parse({
  classes: { user: { capacity: 100, refill: '1 / 1s' }, anonymous: { capacity: 100, refill: '1 / 1s' } },
})

/** User id of each role. */
const IDS = { user: randomUUID(), editor: randomUUID(), moderator: randomUUID(), admin: randomUUID() }
const nameOf = (userId: string | undefined) => Object.entries(IDS).find(([, id]) => id === userId)?.[0] ?? null

/** Starts an instance. `charged` collects the keys of the buckets that are charged; `state.isLimited` empties them all. */
async function startApp(t: Test) {
  const mint = createTokenMint({ issuer: 'https://issuer.example', audience: 'x' })
  const state = { isStale: false, isLimited: false }
  const charged: string[] = []
  const buckets: Buckets = {
    operation: undefined,
    charge(key, { shape }, onOutcome) {
      charged.push(key.replace('gatehouse:limit:', ''))
      onOutcome(state.isLimited ? -1 : shape.capacityUnits)
    },
  }
  const app = Fastify()
  await app.register(fastifyCookie, { hook: false })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null))
  registerClientAddress(app, { header: 'x-forwarded-for', isTrusted: undefined })
  app.decorateRequest('trace')
  app.addHook('onRequest', async request => {
    request.trace = acceptTrace(undefined, undefined, 0)
  })
  app.setErrorHandler((error, request, reply) => {
    const { problem, headers } = toProblem(error, { path: request.url, traceId: '' })
    return reply.status(problem.status).headers(headers).send(problem)
  })
  const { policyFor } = await registerRequestPolicies(app, {
    routes,
    authentication: {
      keys: mint.keys,
      issuer: 'https://issuer.example',
      audience: 'x',
      revocations: createRevocationSet(),
      isStale: () => state.isStale,
    },
    limits: { settings, buckets },
    trustedOrigins: new Set(['https://x.example', 'https://app.example']),
  })
  for (const route of routes) {
    const { onRequest } = policyFor(route)
    const handler = async (request: { principal?: { userId: string } | undefined }) => ({
      user: nameOf(request.principal?.userId),
    })
    app.route({ method: 'POST', ...routerPath(route.template), onRequest, handler })
  }
  t.teardown(() => app.close())

  const send = async (path: string, headers: InjectOptions['headers'] = {}) => {
    charged.length = 0
    const response = await app.inject({ method: 'POST', url: path, headers: { ...headers }, payload: '{}' })
    const { code, user } = response.json() as { code?: string; user?: string | null }
    return { status: response.statusCode, code, user, charged: [...charged] }
  }
  const bearer = (role: 'user' | 'editor' | 'moderator' | 'admin') => ({
    authorization: `Bearer ${mint.access({ role, sub: IDS[role] })}`,
  })
  return { send, bearer, state }
}

t.test('access level and role of the caller decide whether a method admits the request', async t => {
  const { send, bearer } = await startApp(t)
  const ANONYMOUS = { status: 200, code: undefined, user: null }
  const DENIED = { status: 403, code: 'permission_denied', user: undefined }
  const UNAUTHENTICATED = { status: 401, code: 'unauthenticated', user: undefined }
  const as = (user: string) => ({ status: 200, code: undefined, user })
  const expected: Record<string, Record<'anonymous' | 'user' | 'editor' | 'moderator' | 'admin', object>> = {
    public: { anonymous: ANONYMOUS, user: ANONYMOUS, editor: ANONYMOUS, moderator: ANONYMOUS, admin: ANONYMOUS },
    optional: {
      anonymous: ANONYMOUS,
      user: as('user'),
      editor: as('editor'),
      moderator: as('moderator'),
      admin: as('admin'),
    },
    user: {
      anonymous: UNAUTHENTICATED,
      user: as('user'),
      editor: as('editor'),
      moderator: as('moderator'),
      admin: as('admin'),
    },
    admin: { anonymous: UNAUTHENTICATED, user: DENIED, editor: DENIED, moderator: DENIED, admin: as('admin') },
    staff: {
      anonymous: UNAUTHENTICATED,
      user: DENIED,
      editor: as('editor'),
      moderator: as('moderator'),
      admin: DENIED,
    },
  }
  for (const [method, outcomes] of Object.entries(expected)) {
    for (const [caller, outcome] of Object.entries(outcomes)) {
      const headers = caller === 'anonymous' ? {} : bearer(caller as 'user')
      const { charged, ...response } = await send(`/${method}`, headers)
      t.strictSame(response, outcome, `${caller} calls ${method}`)
      t.equal(charged.length, 1, `${caller} calls ${method}: one charge`)
    }
  }
})

t.test('a request with a credential cookie needs a trusted initiator and a JSON body', async t => {
  const { send } = await startApp(t)
  const json = { 'content-type': 'application/json' }
  const cookie = { cookie: '__Secure-session=s; other=x' }
  const REJECTED = { status: 403, code: 'cross_site_request' }
  const ADMITTED = { status: 200 }
  const cases: [name: string, headers: Record<string, string>, expected: object][] = [
    ['no cookie, another site', { ...json, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, ADMITTED],
    ['an unrelated cookie', { ...json, cookie: 'other=x', 'sec-fetch-site': 'cross-site' }, ADMITTED],
    ['neither header', { ...json, ...cookie }, REJECTED],
    ['Sec-Fetch-Site: same-origin', { ...json, ...cookie, 'sec-fetch-site': 'same-origin' }, ADMITTED],
    ['Sec-Fetch-Site: none', { ...json, ...cookie, 'sec-fetch-site': 'none' }, ADMITTED],
    ['Sec-Fetch-Site: same-site', { ...json, ...cookie, 'sec-fetch-site': 'same-site' }, REJECTED],
    ['Sec-Fetch-Site: cross-site', { ...json, ...cookie, 'sec-fetch-site': 'cross-site' }, REJECTED],
    ['the own origin', { ...json, ...cookie, origin: 'https://x.example' }, ADMITTED],
    ['a CORS origin', { ...json, ...cookie, origin: 'https://app.example' }, ADMITTED],
    [
      'a CORS origin across sites',
      { ...json, ...cookie, origin: 'https://app.example', 'sec-fetch-site': 'cross-site' },
      ADMITTED,
    ],
    ['another origin', { ...json, ...cookie, origin: 'https://evil.example' }, REJECTED],
    ['an origin with the own as prefix', { ...json, ...cookie, origin: 'https://x.example.evil.example' }, REJECTED],
    ['the own host with another scheme', { ...json, ...cookie, origin: 'http://x.example' }, REJECTED],
    ['an opaque origin', { ...json, ...cookie, origin: 'null' }, REJECTED],
    ['an empty origin', { ...json, ...cookie, origin: '' }, REJECTED],
    [
      'the second cookie of the method',
      { ...json, cookie: '__Secure-device=d', 'sec-fetch-site': 'cross-site' },
      REJECTED,
    ],
    ['an empty cookie', { ...json, cookie: '__Secure-session=', 'sec-fetch-site': 'cross-site' }, REJECTED],
    [
      'JSON with a charset',
      { ...cookie, 'sec-fetch-site': 'same-origin', 'content-type': 'Application/JSON; charset=utf-8' },
      ADMITTED,
    ],
    ['a form', { ...cookie, 'sec-fetch-site': 'same-origin', 'content-type': 'text/plain' }, REJECTED],
    [
      'a type with JSON as prefix',
      { ...cookie, 'sec-fetch-site': 'same-origin', 'content-type': 'application/json-seq' },
      REJECTED,
    ],
  ]
  for (const [name, headers, expected] of cases) t.match(await send('/cookie', headers), expected, name)
  t.match(
    await send('/public', { ...json, ...cookie, 'sec-fetch-site': 'cross-site' }),
    ADMITTED,
    'a method that reads no cookie',
  )
})

t.test('the checks run in their order: address, authentication, principal, authorization, cross-site', async t => {
  const { send, bearer, state } = await startApp(t)
  const crossSite = { cookie: '__Secure-session=s', 'sec-fetch-site': 'cross-site' }
  const invalid = { authorization: 'Bearer x' }
  const user = bearer('user')
  const BY_ADDRESS = ['anonymous:127.0.0.1']
  const BY_USER = [`user:${IDS.user}`]
  type Case = [path: string, headers: Record<string, string>, status: number, code: string | undefined, string[]]
  const check = async (name: string, cases: readonly Case[]) => {
    for (const [path, headers, status, code, charged] of cases) {
      const response = await send(path, headers)
      const title = `${name}: ${path} ${Object.keys(headers).join(', ')}`
      t.strictSame([response.status, response.code, response.charged], [status, code, charged], title)
    }
  }

  await check('full buckets', [
    ['/public', {}, 200, undefined, BY_ADDRESS],
    ['/user', {}, 401, 'unauthenticated', BY_ADDRESS],
    ['/user', invalid, 401, 'token_invalid', BY_ADDRESS],
    ['/user', user, 200, undefined, BY_USER],
    ['/admin', user, 403, 'permission_denied', BY_USER],
    ['/userCookie', { ...crossSite, ...user }, 403, 'cross_site_request', BY_USER],
    ['/userCookie', { ...crossSite, ...invalid }, 401, 'token_invalid', BY_ADDRESS],
  ])
  state.isLimited = true
  await check('empty buckets', [
    ['/user', {}, 429, 'rate_limited', BY_ADDRESS],
    ['/user', invalid, 429, 'rate_limited', BY_ADDRESS],
    ['/admin', user, 429, 'rate_limited', BY_USER],
    ['/cookie', crossSite, 429, 'rate_limited', BY_ADDRESS],
  ])
  state.isStale = true
  await check('stale revocations', [['/user', user, 503, 'revocations_unknown', []]])
})
