/** Contracts with unusual HTTP rules: what is served, what is left out, what is refused. */
import { once } from 'node:events'
import http, { METHODS } from 'node:http'
import { create } from '@bufbuild/protobuf'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { ContractError, serviceOf } from '#runtime/grpc/contract.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { RESERVED_PATHS } from '../../gateway/contract/reserved-paths.ts'
import { buildRouteTable, type OmittedRoute } from '../../gateway/contract/route-table.ts'
import { registerDocs } from '../../gateway/http/docs-page.ts'
import type { Responder } from '../support/echo-upstream.ts'
import { buildService, methodSource } from '../support/service-contract.ts'
import { until } from '../support/until.ts'

const serviceOfMethods = (methods: string) =>
  buildService('any.v1.AnyService', {
    imports: ['google/protobuf/struct.proto'],
    methods: [methods],
    messages: `
      message Thing { string id = 1; string name = 2; string error = 3; Other other = 4; }
      message Other { string id = 1; string error = 2 [json_name = "@error"]; string third = 3 [json_name = "error"]; }
    `,
  })

const method = (
  name: string,
  rule: string,
  signature: Parameters<typeof methodSource>[1] = '(Thing) returns (Thing)',
) => methodSource(name, signature, rule)

function tableOf(methods: string) {
  const omitted: OmittedRoute[] = []
  const service = serviceOf(serviceOfMethods(methods).contract, 'any.v1.AnyService')
  const routes = buildRouteTable([{ service, upstream: 'any' }], entry => omitted.push(entry))
  return {
    omitted,
    routes: routes.map(({ httpMethod, template, body }) => `${httpMethod} ${template.source} ${body.kind}`),
  }
}

const start = (t: Test, methods: string, respond: Responder = ({ message }) => message) =>
  serviceOfMethods(methods).start(t, respond)

/** Sends any method, which fetch does not. @returns status and body. */
async function send(
  port: number,
  verb: string,
  path: string,
  body?: object,
): Promise<{ status: number; text: string }> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  const request = http.request({ host: '127.0.0.1', port, method: verb, path, headers }).end(text)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let content = ''
  for await (const chunk of response) content += chunk
  return { status: response.statusCode ?? 0, text: content }
}

t.test('a custom kind is served if the HTTP parser knows it, with a body if the rule has one', async t => {
  const kinds = METHODS.filter(kind => !['CONNECT', 'HEAD', 'GET', 'TRACE', 'OPTIONS'].includes(kind))
  const methods = kinds.map((kind, index) =>
    method(`M${index}`, `custom: { kind: "${kind}" path: "/v1/{id}" } body: "*"`),
  )
  const plain = ['HEAD', 'GET', 'TRACE', 'OPTIONS'].map((kind, index) =>
    method(`P${index}`, `custom: { kind: "${kind}" path: "/v1/{id}" }`),
  )
  const { port, call } = await start(t, [...methods, ...plain].join('\n'))
  for (const kind of kinds) {
    const { status, text } = await send(port, kind, '/v1/a', { name: kind })
    t.equal(status, 200, kind)
    t.match(JSON.parse(text), { id: 'a', name: kind })
  }
  for (const kind of ['HEAD', 'GET', 'TRACE']) t.equal((await send(port, kind, '/v1/a')).status, 200, kind)
  t.equal((await send(port, 'OPTIONS', '/v1/a')).status, 204, 'CORS answers OPTIONS if origins are configured')
  t.equal((await call('/v2/a')).status, 404)
})

t.test(
  'a custom kind that the HTTP parser does not know is left out, and the rest of the contract is served',
  async t => {
    const { omitted, routes } = tableOf(
      ['FROB', 'report', 'CONNECT']
        .map((kind, index) =>
          method(
            `M${index}`,
            `custom: { kind: "${kind}" path: "/v1/{id}" } additional_bindings { get: "/v${index + 2}/{id}" }`,
          ),
        )
        .join('\n'),
    )
    t.same(routes, ['GET /v2/{id} none', 'GET /v3/{id} none', 'GET /v4/{id} none'])
    t.same(
      omitted.map(({ name }) => name),
      ['any.v1.AnyService/M0', 'any.v1.AnyService/M1', 'any.v1.AnyService/M2'],
    )
    t.match(omitted[0]?.reason, 'FROB')
    t.throws(() => tableOf(method('M', 'custom: { kind: "A B" path: "/v1" }')), ContractError)
  },
)

t.test('kind "*" serves each method that no other route has on the path', async t => {
  const methods = `${method('Any', 'custom: { kind: "*" path: "/v1/{id}" } body: "*"')} ${method('Put', 'put: "/v1/{id}"')}`
  t.same(tableOf(methods).routes, [
    'GET /v1/{id} none',
    'POST /v1/{id} message',
    'PATCH /v1/{id} message',
    'DELETE /v1/{id} message',
    'PUT /v1/{id} none',
  ])
  const { port, upstream } = await start(t, methods)
  for (const verb of ['POST', 'PATCH', 'DELETE']) {
    t.match(JSON.parse((await send(port, verb, '/v1/a', { name: verb })).text), { id: 'a', name: verb })
  }
  t.match(JSON.parse((await send(port, 'GET', '/v1/a?name=b')).text), { id: 'a', name: 'b' })
  t.equal((await send(port, 'HEAD', '/v1/a')).status, 200)
  await send(port, 'PUT', '/v1/a?name=c')
  t.match(upstream.received.at(-1), { method: 'Put' })
  t.throws(() => tableOf(`${methods} ${method('Two', 'custom: { kind: "*" path: "/v1/{name}" }')}`), /already bound to/)
})

t.test('DELETE may have a body', async t => {
  const { port } = await start(t, method('Delete', 'delete: "/v1/{id}" body: "*"'))
  t.match(JSON.parse((await send(port, 'DELETE', '/v1/a', { name: 'b' })).text), { id: 'a', name: 'b' })
  t.match(JSON.parse((await send(port, 'DELETE', '/v1/a')).text), { id: 'a', name: '' })
})

t.test('the error of a stream has a name that no message of the stream has', async t => {
  const failing: Responder = async function* ({ method: name }) {
    const type = name === 'Others' ? 'Other' : 'Thing'
    yield create(service.message(type), { id: 'a', error: 'b' } as Record<string, unknown>)
    throw new StatusError(Code.NOT_FOUND, 'gone')
  }
  const methods = `
    ${method('Things', 'get: "/v1/things"', '(Thing) returns (stream Thing)')}
    ${method('Others', 'get: "/v1/others"', '(Thing) returns (stream Other)')}
    ${method('Ids', 'get: "/v1/ids" response_body: "id"', '(Thing) returns (stream Thing)')}`
  const service = serviceOfMethods(methods)
  const { call } = await service.start(t, failing)
  for (const [path, name] of [
    ['things', '@error'],
    ['others', '@@error'],
    ['ids', 'error'],
  ] as const) {
    const lines = (await (await call(`/v1/${path}`)).text()).trimEnd().split('\n')
    t.equal(lines.length, 2, path)
    t.match(JSON.parse(lines[1] ?? ''), { [name]: { code: String, status: 404 } }, path)
    const events = await (await call(`/v1/${path}`, { headers: { accept: 'text/event-stream' } })).text()
    t.match(events, /\n\nevent: error\ndata: \{/)
  }
  t.same(tableOf(method('Structs', 'get: "/v1/structs"', '(Thing) returns (stream google.protobuf.Struct)')).routes, [
    'GET /v1/structs none',
  ])
})

t.test('40 custom verbs of one path, with GET and HEAD of it, are served by their own methods', async t => {
  const verbs = Array.from({ length: 40 }, (_, index) => `verb${index}`)
  const methods = [
    ...verbs.map(verb => method(verb.toUpperCase(), `get: "/v1/{id}:${verb}"`)),
    ...verbs.map(verb => method(`${verb.toUpperCase()}B`, `post: "/v1/{id}:${verb}" body: "*"`)),
    method('Get', 'get: "/v1/{id}"'),
    method('Rest', 'get: "/v1/{id=**}"'),
    method('Head', 'custom: { kind: "HEAD" path: "/v1/{id}" }'),
    method('Delete', 'delete: "/v1/{id}"'),
  ]
  const { port, upstream, state } = await start(t, methods.join('\n'))
  const served: readonly (readonly [httpMethod: string, path: string, name: string, template: string])[] = [
    ...verbs.flatMap(verb => [
      ['GET', `/v1/a:${verb}`, verb.toUpperCase(), `/v1/{id}:${verb}`] as const,
      ['HEAD', `/v1/a:${verb}`, verb.toUpperCase(), `/v1/{id}:${verb}`] as const,
      ['POST', `/v1/a:${verb}`, `${verb.toUpperCase()}B`, `/v1/{id}:${verb}`] as const,
    ]),
    ['GET', '/v1/a', 'Get', '/v1/{id}'],
    ['GET', '/v1/a%3Averb1', 'Get', '/v1/{id}'],
    ['GET', '/v1/a:verb40', 'Get', '/v1/{id}'],
    ['HEAD', '/v1/a', 'Head', '/v1/{id}'],
    ['GET', '/v1/a/b:verb1', 'Rest', '/v1/{id=**}'],
  ]
  for (const [httpMethod, path, name] of served) {
    const { status } = await send(port, httpMethod, path, httpMethod === 'POST' ? {} : undefined)
    t.equal(status, 200, `${httpMethod} ${path}`)
    t.equal(upstream.received.at(-1)?.method, name, `${httpMethod} ${path}`)
  }
  const logged = async () => state.lines.filter(({ route }) => route !== undefined)
  await until(logged, lines => lines.length === served.length)
  t.same(
    (await logged()).map(line => `${line.method} ${line.route}`).sort(),
    served.map(([httpMethod, , , template]) => `${httpMethod} ${template}`).sort(),
    'the access log has the template of the method that served the request',
  )
  t.equal((await send(port, 'DELETE', '/v1/a:verb1')).status, 405)
  t.equal((await send(port, 'POST', '/v1/a:verb40', {})).status, 405)
})

t.test('a path with the custom verb of another method is 405, whatever template has the path', async t => {
  const { port, upstream } = await start(
    t,
    [
      method('Patch', 'patch: "/v1/books/{id}"'),
      method('Go', 'post: "/v1/{other.id}/{id}:go"'),
      method('Rest', 'get: "/v1/{id=**}"'),
      method('Stop', 'post: "/v1/{id}:stop"'),
    ].join('\n'),
  )
  const request = http.request({ host: '127.0.0.1', port, method: 'PATCH', path: '/v1/books/a:go' }).end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  response.resume()
  t.match(response, { statusCode: 405, headers: { allow: 'POST' } })
  for (const [verb, path, name] of [
    ['PATCH', '/v1/books/a:stop', 'Patch'],
    ['GET', '/v1/a/b:stop', 'Rest'],
    ['POST', '/v1/books/a:go', 'Go'],
    ['POST', '/v1/a:stop', 'Stop'],
  ] as const) {
    t.equal((await send(port, verb, path)).status, 200, `${verb} ${path}`)
    t.equal(upstream.received.at(-1)?.method, name)
  }
  t.equal((await send(port, 'GET', '/v1/a:stop')).status, 405)
})

t.test('a method with a request stream is left out with its name; the other methods are served', async t => {
  const { omitted, routes } = tableOf(`
    ${method('Upload', 'post: "/v1/upload" body: "*"', '(stream Thing) returns (Thing)')}
    ${method('Chat', 'post: "/v1/chat" body: "*"', '(stream Thing) returns (stream Thing)')}
    ${method('Get', 'get: "/v1/{id}"')}`)
  t.same(routes, ['GET /v1/{id} none'])
  t.match(omitted, [
    { name: 'any.v1.AnyService/Upload', reason: /request stream/ },
    { name: 'any.v1.AnyService/Chat', reason: /request stream/ },
  ])
})

t.test('a route on a path of the gateway itself is refused with the name of the method', async t => {
  for (const path of RESERVED_PATHS.filter(reserved => !reserved.endsWith('/'))) {
    for (const rule of [
      `get: "${path}"`,
      `custom: { kind: "*" path: "${path}" }`,
      `get: "${path.replace('d', '%64')}"`,
    ]) {
      t.throws(
        () => tableOf(method('Mine', rule)),
        { name: 'ContractError', message: new RegExp(`AnyService/Mine: .*itself serves ${path}`) },
        rule,
      )
    }
    t.equal(tableOf(method('Mine', `post: "${path}" body: "*"`)).routes.length, 1, `POST ${path}`)
  }
  t.throws(() => tableOf(method('Mine', 'get: "/docs/{name=**}"')), /itself serves \/docs/)
  t.equal(tableOf(`${method('A', 'get: "/{id}"')} ${method('B', 'get: "/docs/{id}"')}`).routes.length, 2)
})

t.test('the reserved paths are those that the gateway itself serves', async t => {
  const { instance } = await start(t, method('Get', 'get: "/v1/{id}"'))
  const docs = Fastify()
  const urls = new Set<string>()
  docs.addHook('onRoute', ({ url }) => void urls.add(url))
  registerDocs(docs, { document: {} })
  await docs.ready()
  for (const path of ['/healthz', '/readyz']) if (instance.hasRoute({ method: 'GET', url: path })) urls.add(path)
  t.same([...urls].sort(), RESERVED_PATHS)
  await docs.close()
})
