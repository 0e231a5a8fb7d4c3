/** The processes do not start with a fault of their environment, and log one line with the cure and without a stack. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import t, { type Test } from 'tap'
import { assertNodeVersion } from '#runtime/process/boot.ts'
import { startChild } from '../../deploy/dev/child.ts'
import { ROOT } from '../../deploy/dev/migrate.ts'
import { ANY_METRICS_PORTS, type ServiceName, serviceCommand } from '../../deploy/dev/services.ts'
import { buildImage } from '../support/contract.ts'
import { openTestDatabase } from '../support/test-database.ts'
import { openTestRedis } from '../support/test-redis.ts'

t.setTimeout(300_000)
const IMAGE = path.join(ROOT, 'proto/gen/contract.binpb')
const LIMITS = 'limits: { classes: { user: unlimited, anonymous: unlimited } }'
const UPSTREAM = { name: 'books', address: '127.0.0.1:1', contract: IMAGE, services: ['auth.v1.AuthService'] }
const secret = () => randomBytes(32).toString('base64')
// Nothing listens on port 1.
const SETTINGS = {
  REDIS_URL: 'redis://127.0.0.1:1',
  DATABASE_URL: 'postgres://none:x@127.0.0.1:1/none',
  PASSWORD_PEPPER: secret(),
  REFRESH_TOKEN_SECRET: secret(),
  SIGNING_KEY_SECRET: secret(),
  PAGE_TOKEN_SECRET: secret(),
  GATEWAY_PORT: '0',
  AUTH_SVC_PORT: '0',
  USER_SVC_PORT: '0',
  ...ANY_METRICS_PORTS,
}

async function start(t: Test, name: ServiceName, env: Record<string, string>) {
  const child = await startChild({ name, ...serviceCommand(name), env: { ...SETTINGS, ...env } })
  t.teardown(() => child.stop())
  return child
}

/** Starts a process that must fail. @returns its message. */
async function failureOf(t: Test, name: ServiceName, env: Record<string, string>): Promise<string> {
  const child = await start(t, name, env)
  t.equal(await child.exited, 'exit code 1')
  const fatal = child.lastLines.filter(line => line.includes('"level":"fatal"')).map(line => JSON.parse(line))
  t.equal(fatal.length, 1, child.lastLines.join('\n'))
  t.notOk(fatal[0]?.err, 'no stack in the log line')
  t.notOk(
    child.lastLines.some(line => /^\s+at /.test(line)),
    'no stack beside the log',
  )
  return fatal[0]?.msg ?? ''
}

function gatewayFile(t: Test, text: string, files: Record<string, string | Buffer> = {}): Record<string, string> {
  return { GATEWAY_CONFIG: path.join(t.testdir({ 'gateway.yaml': text, ...files }), 'gateway.yaml') }
}

const withUpstream = (t: Test, upstream: object, files = {}) =>
  gatewayFile(t, `upstreams: [${JSON.stringify({ ...UPSTREAM, ...upstream })}]\n${LIMITS}`, files)

const withContract = (t: Test, proto: string) =>
  withUpstream(
    t,
    { contract: 'books.binpb', services: ['b.Books'] },
    { 'books.binpb': Buffer.from(buildImage({ 'b.proto': proto })) },
  )

const books = (method: string) => `
  syntax = "proto3";
  package b;
  import "edge/v1/options.proto";
  import "google/api/annotations.proto";
  message M {}
  service Books { ${method} }`

type Fault = [description: string, make: (t: Test) => Record<string, string>, message: RegExp[]]
const faults: Fault[] = [
  [
    'a contract image that is missing',
    t => withUpstream(t, { contract: 'missing.binpb' }),
    [/gateway\.yaml:1: upstream books: /, /missing\.binpb/, /ENOENT/, /buf build/],
  ],
  [
    'a file that is no contract image',
    t => withUpstream(t, { contract: 'books.proto' }, { 'books.proto': 'syntax = "proto3";' }),
    [/gateway\.yaml:1: upstream books: /, /books\.proto is not a contract image/, /buf build/],
  ],
  [
    'an empty contract image',
    t => withUpstream(t, { contract: 'empty.binpb' }, { 'empty.binpb': '' }),
    [/gateway\.yaml:1: upstream books: /, /empty\.binpb is not a contract image/, /buf build/],
  ],
  [
    'a gateway.yaml that is missing',
    () => ({ GATEWAY_CONFIG: '/nowhere/gateway.yaml' }),
    [/\/nowhere\/gateway\.yaml/, /GATEWAY_CONFIG/],
  ],
  [
    'a gateway.yaml that is not YAML',
    t => gatewayFile(t, 'upstreams: [\n- {'),
    [/gateway\.yaml:\d+:\d+ is not valid YAML/],
  ],
  [
    'a service that the contract does not have',
    t => withUpstream(t, { services: ['auth.v1.Auth'] }),
    [/gateway\.yaml:1: upstream books: /, /no service auth\.v1\.Auth; it has .*auth\.v1\.AuthService/],
  ],
  [
    'an address that is invalid',
    t => withUpstream(t, { address: 'ftp://host' }),
    [/gateway\.yaml:1: upstream books: /, /ftp:\/\/host/],
  ],
  [
    'a role that does not exist',
    t =>
      withContract(
        t,
        books(`rpc Get(M) returns (M) {
          option (google.api.http) = { get: "/books" };
          option (edge.v1.policy) = { access: ACCESS_ROLES, roles: ["amdin"] };
        }`),
      ),
    [/upstream books: b\.Books\/Get/, /unknown role "amdin"; the roles are user, editor, moderator, admin/],
  ],
  [
    'methods that verify tokens and no Redis',
    () => ({ REDIS_URL: '' }),
    [/REDIS_URL is required/, /user\.v1\.UserService\/GetMe/],
  ],
]

for (const [description, make, patterns] of faults) {
  t.test(`the gateway does not start with ${description}`, async t => {
    const message = await failureOf(t, 'gateway', make(t))
    for (const pattern of patterns) t.match(message, pattern)
  })
}

t.test('auth-svc does not start without a setting that it requires', async t => {
  t.match(await failureOf(t, 'auth-svc', { REDIS_URL: '' }), /REDIS_URL: is not set/)
})

t.test('a process does not start if its port or its metrics port is in use, and names the setting', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const port = String((taken.address() as AddressInfo).port)
  for (const [name, setting] of [
    ['gateway', 'GATEWAY_METRICS_PORT'],
    ['gateway', 'GATEWAY_PORT'],
    ['user-svc', 'USER_SVC_METRICS_PORT'],
    ['user-svc', 'USER_SVC_PORT'],
  ] as const) {
    const message = await failureOf(t, name, { [setting]: port })
    t.match(message, `${setting}: cannot listen on 127.0.0.1:${port}: the port is in use`)
  }
})

t.test('the gateway logs a warning for each method without an HTTP rule, and starts', async t => {
  const env = withContract(
    t,
    books(`
      rpc Get(M) returns (M) {
        option (google.api.http) = { get: "/books" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Forgotten(M) returns (M) { option (edge.v1.policy) = { access: ACCESS_PUBLIC }; }
      rpc Internal(M) returns (M) { option (edge.v1.policy) = { access: ACCESS_INTERNAL }; }`),
  )
  const gateway = await start(t, 'gateway', env)
  await gateway.waitForLine(/gateway listening/)
  const warnings = gateway.lastLines.filter(line => line.includes('no HTTP rule'))
  t.equal(warnings.length, 1)
  t.match(JSON.parse(warnings[0] ?? '{}'), { level: 'warn', method: 'b.Books/Forgotten' })
})

/** Starts an HTTP/1.1 server. @returns its address. */
async function startHttpServer(t: Test): Promise<string> {
  const server = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('the gateway logs the upstream whose server is an HTTP server, its file and the cure', async t => {
  const address = await startHttpServer(t)
  const env = withUpstream(t, { address, services: ['user.v1.UserService'] })
  const gateway = await start(t, 'gateway', env)
  const line = JSON.parse(await gateway.waitForLine(/responds in HTTP\/1/))
  t.match(line, {
    level: 'warn',
    upstream: 'books',
    address,
    file: env['GATEWAY_CONFIG'],
    msg: `upstream books is misconfigured: ${address}: The server responds in HTTP/1: it is not a gRPC server. Correct \`address\` in ${env['GATEWAY_CONFIG']}`,
  })
  t.notOk(line.err, 'no stack')
})

t.test('the gateway and auth-svc log the setting whose address is that of an HTTP server, and the cure', async t => {
  const address = await startHttpServer(t)
  const { url: REDIS_URL } = await openTestRedis(t)
  const message = (setting: string) =>
    `${setting}=${address}: the server does not respond in HTTP/2: it is not a gRPC server. Correct the address`

  const gateway = await start(t, 'gateway', { REDIS_URL, AUTH_SVC_ADDRESS: address })
  const fromGateway = JSON.parse(await gateway.waitForLine(/does not respond in HTTP\/2/))
  t.match(fromGateway.msg, message('AUTH_SVC_ADDRESS'))
  const metrics = JSON.parse(await gateway.waitForLine(/metrics server listening/))
  const details = await fetch(`http://127.0.0.1:${metrics.port}/readyz`)
  t.equal(details.status, 503)
  t.match(await details.text(), message('AUTH_SVC_ADDRESS'))

  const { authUrl: DATABASE_URL } = await openTestDatabase(t)
  const auth = await start(t, 'auth-svc', { REDIS_URL, DATABASE_URL, USER_SVC_ADDRESS: address })
  const fromAuth = JSON.parse(await auth.waitForLine(/does not respond in HTTP\/2/))
  t.match(fromAuth.err.message, message('USER_SVC_ADDRESS'))
})

t.test('auth-svc names the store that it cannot connect to at the start, without the password', async t => {
  const redisMessage = await failureOf(t, 'auth-svc', { REDIS_URL: 'redis://:hunter2@127.0.0.1:1' })
  t.match(redisMessage, 'REDIS_URL: cannot connect to Redis at 127.0.0.1:1')
  const { url: REDIS_URL } = await openTestRedis(t)
  const message = await failureOf(t, 'auth-svc', { REDIS_URL, DATABASE_URL: 'postgres://x:hunter2@127.0.0.1:1/none' })
  t.match(message, 'DATABASE_URL: cannot connect to PostgreSQL at 127.0.0.1:1')
  t.notMatch(redisMessage + message, 'hunter2')
})

t.test('a version of Node.js before 26 is rejected with the cure', async t => {
  for (const version of ['20.20.2', '22.18.0', '25.9.9']) {
    t.throws(() => assertNodeVersion(version), {
      name: 'SettingsError',
      message: new RegExp(`${version} is too old.*26 or later`),
    })
  }
  for (const version of ['26.0.0', '27.1.0', '100.0.0']) t.doesNotThrow(() => assertNodeVersion(version))
})
