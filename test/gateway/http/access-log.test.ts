/** The line that each request writes, in a Fastify instance with the hooks of request-telemetry.ts. */
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import Fastify, { type FastifyRequest } from 'fastify'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { Code } from '#runtime/status.ts'
import { createAccessLog } from '../../../gateway/http/access-log.ts'
import { createRequestTelemetry } from '../../../gateway/http/request-telemetry.ts'
import { createGatewayMetrics } from '../../../gateway/metrics.ts'
import { until } from '../../support/until.ts'

type Line = Record<string, unknown>

async function startApp(t: Test, level = 'info') {
  const lines: Line[] = []
  const logger = pino({ level }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const telemetry = createRequestTelemetry({
    sampleRatio: 0,
    sampleError: () => false,
    accessLog: createAccessLog(logger),
    metrics: createGatewayMetrics().http,
  })
  const app = Fastify()
  telemetry.register(app)
  app.decorateRequest('principal')
  const principal = (userId: string) => ({ userId }) as FastifyRequest['principal']
  app.get('/items/:id', { config: { template: '/items/{id}' } }, async () => ({ ok: true }))
  app.get('/plain', async () => 'text')
  app.get('/user', async request => {
    request.principal = principal('01890000-0000-7000-8000-000000000001')
    return 'x'
  })
  app.get('/odd-user', async request => {
    request.principal = principal('a"b\\c\n')
    return 'x'
  })
  app.get('/rpc-ok', async request => {
    request.rpcCode = Code.OK
    return 'x'
  })
  app.get('/rpc-failed', async (request, reply) => {
    request.rpcCode = Code.NOT_FOUND
    return reply.status(404).send('x')
  })
  app.get('/no-content', async (_request, reply) => reply.status(204).send())
  const waiting = Promise.withResolvers<void>()
  app.get('/slow', () => {
    waiting.resolve()
    return new Promise(() => {})
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const lineOf = async () => {
    await until(
      async () => lines.length,
      count => count > 0,
    )
    return lines.splice(0)
  }
  return { port, lines, lineOf, waiting: waiting.promise }
}

t.test('a request writes one line with method, route, status, size and duration', async t => {
  const { port, lineOf } = await startApp(t)
  const cases: [name: string, path: string, expected: Line, absent: string[]][] = [
    [
      'a route of the contract is logged by its template',
      '/items/7?secret=1',
      { route: '/items/{id}', status: 200, bytes: 11 },
      ['rpc_code', 'user_id', 'aborted'],
    ],
    ['another route by its path', '/plain', { route: '/plain', status: 200, bytes: 4 }, ['rpc_code', 'user_id']],
    ['a path without a route as unmatched', '/other/7', { route: 'unmatched', status: 404 }, ['rpc_code', 'user_id']],
    ['an authenticated user by id', '/user', { user_id: '01890000-0000-7000-8000-000000000001' }, ['rpc_code']],
    ['a user id with special characters', '/odd-user', { user_id: 'a"b\\c\n' }, ['rpc_code']],
    ['a successful upstream call without its code', '/rpc-ok', { status: 200 }, ['rpc_code']],
    ['a failed upstream call with its code', '/rpc-failed', { status: 404, rpc_code: 'NOT_FOUND' }, ['user_id']],
    ['a response without a body', '/no-content', { status: 204 }, ['bytes', 'aborted']],
  ]
  for (const [name, path, expected, absent] of cases) {
    await (await fetch(`http://127.0.0.1:${port}${path}`)).text()
    const [line, ...others] = await lineOf()
    t.match(line, { level: 30, msg: 'request', method: 'GET', ms: Number, ...expected }, name)
    t.same(others, [], `${name}: one line`)
    for (const member of absent) t.notOk(member in (line ?? {}), `${name}: no ${member}`)
    t.notMatch(JSON.stringify(line), /secret/, `${name}: no query`)
  }
})

t.test('a line carries the trace id, the span id and the request id of the response', async t => {
  const { port, lineOf } = await startApp(t)
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const traceparent = `00-${traceId}-b7ad6b7169203331-01`
  const cases: [name: string, headers: Record<string, string>, expected: Line][] = [
    ['the ids of the client', { traceparent, 'x-request-id': 'my.id:1' }, { trace_id: traceId, request_id: 'my.id:1' }],
    ['the trace id as request id', { traceparent }, { trace_id: traceId, request_id: traceId }],
    ['an invalid request id', { traceparent, 'x-request-id': 'a b"' }, { request_id: traceId }],
    ['a request id that is too long', { traceparent, 'x-request-id': 'a'.repeat(129) }, { request_id: traceId }],
    ['an invalid traceparent', { traceparent: 'x', 'x-request-id': 'r' }, { trace_id: /^[0-9a-f]{32}$/ } as Line],
  ]
  for (const [name, headers, expected] of cases) {
    const response = await fetch(`http://127.0.0.1:${port}/plain`, { headers })
    await response.text()
    const [line] = await lineOf()
    t.match(line, { span_id: /^[0-9a-f]{16}$/, ...expected }, name)
    t.equal(line?.['request_id'], response.headers.get('x-request-id'), `${name}: as in the response`)
  }
})

t.test('a client that disconnects before the response is logged as aborted with status 499', async t => {
  const { port, lineOf, waiting } = await startApp(t)
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.write('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n')
  await waiting
  socket.destroy()
  t.match(await lineOf(), [{ route: '/slow', status: 499, aborted: true }])
})

t.test('nothing is written at a log level above info', async t => {
  const { port, lines } = await startApp(t, 'warn')
  await (await fetch(`http://127.0.0.1:${port}/plain`)).text()
  t.same(lines, [])
})

t.test('the line of an unmatched request has its path: bounded, escaped, without the query', async t => {
  const { port, lineOf } = await startApp(t)
  const cases: [target: string, path: string][] = [
    ['/nothing?secret=1', '/nothing'],
    ['/a"b\\c', '/a"b\\c'],
    ['/%0d%0a', '/%0d%0a'],
    [`/${'x'.repeat(5000)}`, `/${'x'.repeat(255)}…`],
    ['http://user:secret@host/nothing', '/nothing'],
  ]
  for (const [target, path] of cases) {
    const socket = connect(port, '127.0.0.1')
    socket.end(`GET ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)
    const [line] = await lineOf()
    t.match(line, { route: 'unmatched', path }, target.slice(0, 40))
    t.equal((line?.['path'] as string | undefined)?.length, path.length)
    t.notMatch(JSON.stringify(line), /secret/)
    socket.destroy()
  }
  await fetch(`http://127.0.0.1:${port}/items/7`)
  t.notOk('path' in ((await lineOf())[0] ?? {}), 'the line of a route has no path: it may identify a person')
})
