/** google.api.HttpBody through a complete gateway: raw bodies in requests, responses and streams; both codecs must agree. */
import { once } from 'node:events'
import http from 'node:http'
import { create, type Message } from '@bufbuild/protobuf'
import { anyPack, EmptySchema, StringValueSchema } from '@bufbuild/protobuf/wkt'
import t, { type Test } from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { buildRouteTable } from '../../../gateway/contract/route-table.ts'
import type { Responder } from '../../support/echo-upstream.ts'
import { exchange, openWire } from '../../support/http-wire.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'
import { until } from '../../support/until.ts'

const service = buildService('file.v1.FileService', {
  imports: ['google/api/httpbody.proto', 'google/protobuf/field_mask.proto'],
  methods: [
    methodSource('Echo', '(google.api.HttpBody) returns (google.api.HttpBody)', 'post: "/v1/echo" body: "*"'),
    methodSource('Upload', '(UploadRequest) returns (UploadRequest)', 'put: "/v1/files/{name}" body: "file"'),
    methodSource('Patch', '(UploadRequest) returns (UploadRequest)', 'patch: "/v1/files/{name}" body: "file"'),
    methodSource('Replace', '(UploadRequest) returns (UploadRequest)', 'post: "/v1/files/{name}:replace" body: "file"'),
    methodSource('Rename', '(RenameRequest) returns (RenameRequest)', 'post: "/v1/files/{name}:rename" body: "*"'),
    methodSource('Download', '(FileRequest) returns (Content)', 'get: "/v1/files/{name}" response_body: "file"'),
    methodSource(
      'Private',
      '(UploadRequest) returns (UploadRequest)',
      'put: "/v1/private/{name}" body: "file"',
      'access: ACCESS_USER',
    ),
    methodSource('Nested', '(NestedRequest) returns (NestedRequest)', 'post: "/v1/nested" body: "*"'),
    methodSource('Follow', '(FileRequest) returns (stream google.api.HttpBody)', 'get: "/v1/follow/{name}"'),
    methodSource(
      'FollowFile',
      '(FileRequest) returns (stream Content)',
      'get: "/v1/follow-file/{name}" response_body: "file"',
    ),
    methodSource(
      'Empty',
      '(FileRequest) returns (google.api.HttpBody)',
      'get: "/v1/empty/{name}"',
      'access: ACCESS_PUBLIC success_status: 204',
    ),
  ],
  messages: `
    message FileRequest { string name = 1; }
    message UploadRequest {
      string name = 1;
      google.api.HttpBody file = 2 [(edge.v1.rules) = { required: true }];
      int32 revision = 3 [(edge.v1.rules) = { min: 0 }];
      google.protobuf.FieldMask update_mask = 4;
    }
    message RenameRequest { string name = 1; string to = 2; }
    message Content { string etag = 1 [(edge.v1.etag) = true]; google.api.HttpBody file = 2; }
    message NestedRequest { google.api.HttpBody one = 1; repeated google.api.HttpBody many = 2; }
  `,
})
const HttpBody = service.contract.getMessage('google.api.HttpBody')
if (HttpBody === undefined) throw new Error('The contract has no google.api.HttpBody')

/** Every byte, then line ends and text that is neither UTF-8 nor JSON. */
const BYTES = Buffer.concat([Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), Buffer.from('\r\n\0{"')])

const raw = (contentType: string, data: Uint8Array | string = BYTES) =>
  create(HttpBody, { contentType, data: typeof data === 'string' ? Buffer.from(data) : data } as Record<
    string,
    unknown
  >)
const download = (file: Message | undefined, etag = '') =>
  create(service.message('Content'), { etag, ...(file && { file }) } as Record<string, unknown>)

/** Responds with the request; to Download with `file`. */
async function start(t: Test, file: Message = raw('image/png'), etag = '') {
  const gateway = await service.start(t, ({ method, message }) =>
    method === 'Download' ? download(file, etag) : method === 'Empty' ? file : message,
  )
  const latest = () => gateway.upstream.received.at(-1)?.message as unknown as { file?: RawMessage } & RawMessage
  return { ...gateway, latest }
}

interface RawMessage {
  contentType: string
  data: Uint8Array
  extensions: unknown[]
}

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

t.test('a request and a response of HttpBody have the bytes and the Content-Type unchanged', async t => {
  const { call, latest } = await start(t)
  for (const type of [
    'image/png',
    'application/json',
    'multipart/form-data; boundary="a b"',
    'text/plain;charset=iso-8859-1',
    'APPLICATION/X-Thing; Q=1',
  ]) {
    const response = await call('/v1/echo', { method: 'POST', headers: { 'content-type': type }, body: BYTES })
    t.equal(response.status, 200)
    t.equal(latest().contentType, type)
    t.same(Buffer.from(latest().data), BYTES)
    t.same(latest().extensions, [])
    t.equal(response.headers.get('content-type'), type)
    t.equal(response.headers.get('content-length'), String(BYTES.length))
    t.equal(response.headers.get('x-content-type-options'), 'nosniff')
    t.equal(response.headers.get('cache-control'), 'no-store')
    t.match(response.headers.get('content-security-policy'), /default-src 'none'/)
    t.same(await bytesOf(response), BYTES)
  }
})

t.test('a body field of HttpBody is the raw body; the other fields come from the path and the query', async t => {
  const { call, latest } = await start(t)
  const headers = { 'content-type': 'text/csv' }
  const response = await call('/v1/files/a?revision=7', { method: 'PUT', headers, body: BYTES })
  t.equal(response.status, 200)
  t.match(latest(), { name: 'a', revision: 7, file: { contentType: 'text/csv' } })
  t.same(Buffer.from(latest().file?.data ?? []), BYTES)
  const json = { name: 'a', revision: 7, file: { contentType: 'text/csv', data: BYTES.toString('base64') } }
  t.match(await response.json(), json, 'in a response, the field is JSON, with bytes as base64')
})

t.test(
  'a body without Content-Type leaves content_type empty, and a request without a body leaves the field unset',
  async t => {
    const { call, port, latest } = await start(t)
    const put = (head: string, body = '') =>
      `PUT /v1/files/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${head}\r\n${body}`
    const [untyped] = await exchange(port, put('Content-Length: 3\r\n', 'abc'))
    t.equal(untyped?.status, 200)
    t.match(latest().file, { contentType: '', data: Buffer.from('abc') })
    const [chunked] = await exchange(port, put('Transfer-Encoding: chunked\r\n', '2\r\nab\r\n0\r\n\r\n'))
    t.equal(chunked?.status, 200)
    t.match(latest().file, { contentType: '', data: Buffer.from('ab') })
    const [empty] = await exchange(port, put('Content-Type: image/png\r\nContent-Length: 0\r\n'))
    t.equal(empty?.status, 200)
    t.match(latest().file, { contentType: 'image/png', data: Buffer.alloc(0) })
    const [missing] = await exchange(port, put('Content-Length: 0\r\n'))
    t.equal(missing?.status, 400)
    t.match(JSON.parse(missing?.body ?? ''), { errors: [{ field: 'file' }] }, 'the required field is not set')
    const echo = await call('/v1/echo', { method: 'POST' })
    t.equal(echo.status, 200)
    t.match(latest(), { contentType: '', data: Buffer.alloc(0) })
  },
)

t.test('the fields of a raw body cannot be given in the query, and rules of other fields apply', async t => {
  const { call, upstream } = await start(t)
  for (const [path, method, field] of [
    ['/v1/echo?contentType=text/html', 'POST', 'contentType'],
    ['/v1/echo?data=YQ==', 'POST', 'data'],
    ['/v1/files/a?file.contentType=text/html', 'PUT', 'file.contentType'],
    ['/v1/files/a?file.data=YQ==', 'PUT', 'file.data'],
    ['/v1/files/a?name=b', 'PUT', 'name'],
    ['/v1/files/a?unknown=b', 'PUT', 'unknown'],
    ['/v1/files/a?revision=-1', 'PUT', 'revision'],
    ['/v1/files/a?revision=x', 'PUT', 'revision'],
  ] as const) {
    const response = await call(path, { method, body: BYTES })
    t.equal(response.status, 400, path)
    t.match(await response.json(), { code: 'invalid_argument', errors: [{ field }] }, path)
  }
  t.equal(upstream.received.length, 0)
})

t.test('a PATCH with a raw body has no default update mask', async t => {
  const { call, latest } = await start(t)
  t.equal((await call('/v1/files/a', { method: 'PATCH', body: BYTES })).status, 200)
  t.notOk('updateMask' in latest())
  t.equal((await call('/v1/files/a?updateMask=name', { method: 'PATCH', body: BYTES })).status, 200)
  t.match(latest(), { updateMask: { paths: ['name'] } })
})

t.test(
  'a raw body has the limits of other bodies: its size, no Content-Encoding, a valid media type, the policy first',
  async t => {
    const { call, upstream } = await start(t)
    const put = (path: string, headers: Record<string, string>, body: Uint8Array | string) =>
      call(path, { method: 'PUT', headers, body })
    for (const [path, headers, body, status, code] of [
      ['/v1/files/a', { 'content-type': 'image/png' }, Buffer.alloc(10_001), 413, 'body_too_large'],
      ['/v1/files/a', { 'content-type': 'image/png', 'content-encoding': 'gzip' }, 'x', 415, 'unsupported_media_type'],
      ['/v1/files/a', { 'content-type': 'image' }, 'x', 415, 'unsupported_media_type'],
      ['/v1/private/a', { 'content-type': 'image' }, 'x', 401, 'unauthenticated'],
    ] as const) {
      const response = await put(path, headers, body)
      t.equal(response.status, status)
      t.match(await response.json(), { code })
    }
    t.equal((await put('/v1/files/a', { 'content-encoding': 'identity' }, Buffer.alloc(10_000))).status, 200)
    t.equal(upstream.received.length, 1)
  },
)

t.test('other methods accept application/json only, also beside a method with a raw body on the same path', async t => {
  const { call, send, latest } = await start(t)
  const type = (value: string) => ({ 'content-type': value })
  for (const path of ['/v1/nested', '/v1/files/a:rename']) {
    for (const init of [
      { headers: type('text/plain'), body: '{}' },
      { headers: type('application/octet-stream'), body: '{}' },
      { headers: { ...type('application/json'), 'content-encoding': 'gzip' }, body: '{}' },
      { body: Buffer.from('{}') },
    ]) {
      const response = await call(path, { method: 'POST', ...init })
      t.equal(response.status, 415, path)
      t.match(await response.json(), { code: 'unsupported_media_type', detail: /application\/json/ })
    }
    t.equal((await call(path, { method: 'POST' })).status, 200, 'no body')
  }
  t.equal((await send('POST', '/v1/files/a:rename', { to: 'b' })).status, 200)
  t.match(latest(), { name: 'a', to: 'b' })
  const replaced = await call('/v1/files/a:replace', { method: 'POST', headers: type('text/plain'), body: BYTES })
  t.equal(replaced.status, 200)
  t.match(latest(), { name: 'a', file: { contentType: 'text/plain', data: BYTES } })
})

t.test('a response_body field of HttpBody is sent raw; an unset one is an empty body', async t => {
  const { call } = await start(t, raw('image/png'))
  const response = await call('/v1/files/a')
  t.equal(response.headers.get('content-type'), 'image/png')
  t.same(await bytesOf(response), BYTES)

  const gateway = await service.start(t, () => download(undefined))
  const empty = await gateway.call('/v1/files/a')
  t.equal(empty.status, 200)
  t.equal(empty.headers.get('content-type'), 'application/octet-stream')
  t.equal(empty.headers.get('content-length'), '0')
})

t.test(
  'a content_type that is empty or not a media type is sent as application/octet-stream, with one warning',
  async t => {
    const { call, state } = await start(t, raw(''))
    t.equal((await call('/v1/files/a')).headers.get('content-type'), 'application/octet-stream')
    t.equal(state.lines.filter(({ level }) => level === 40).length, 0)
    for (const type of [
      'html',
      'text/html\r\nSet-Cookie: a=b',
      'text/html\n',
      ' text/html',
      'text/html; x',
      'text/html, text/plain',
      'text/ünï',
      'text/html; a="\u{1f600}"',
      `text/${'x'.repeat(1024)}`,
      `text/html${'; '.repeat(500)}=`,
    ]) {
      const gateway = await start(t, raw(type))
      for (let attempt = 0; attempt < 2; attempt++) {
        const response = await gateway.call('/v1/files/a')
        t.equal(response.status, 200)
        t.equal(response.headers.get('content-type'), 'application/octet-stream', JSON.stringify(type.slice(0, 40)))
        t.equal(response.headers.get('set-cookie'), null)
        t.same(await bytesOf(response), BYTES)
      }
      const warnings = gateway.state.lines.filter(({ level }) => level === 40)
      t.match(warnings, [{ method: 'file.v1.FileService/Download', msg: /content_type is not a media type/ }])
      t.equal(warnings.length, 1)
    }
  },
)

t.test('a raw response supports HEAD, and ETag with If-None-Match by the etag field beside it', async t => {
  const { call } = await start(t, raw('image/png'), 'v1')
  const head = await call('/v1/files/a', { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.headers.get('content-type'), 'image/png')
  t.equal(head.headers.get('content-length'), String(BYTES.length))
  t.equal(head.headers.get('etag'), '"v1"')
  t.equal((await bytesOf(head)).length, 0)
  const known = await call('/v1/files/a', { headers: { 'if-none-match': '"v1"' } })
  t.equal(known.status, 304)
  t.equal((await bytesOf(known)).length, 0)
  const changed = await call('/v1/files/a', { headers: { 'if-none-match': '"v0"' } })
  t.equal(changed.status, 200)
  t.same(await bytesOf(changed), BYTES)
})

t.test('Range is ignored: the response is complete and has Accept-Ranges: none', async t => {
  const { call } = await start(t, raw('video/mp4'), 'v1')
  const response = await call('/v1/files/a', { headers: { range: 'bytes=0-9', 'if-range': '"v1"' } })
  t.equal(response.status, 200)
  t.equal(response.headers.get('accept-ranges'), 'none')
  t.equal(response.headers.get('content-range'), null)
  t.same(await bytesOf(response), BYTES)
})

t.test('success_status 204 has no body, and extensions are not sent', async t => {
  const extensions = [anyPack(StringValueSchema, create(StringValueSchema, { value: 'secret' }))]
  const file = create(HttpBody, { contentType: 'text/plain', data: Buffer.from('x'), extensions } as Record<
    string,
    unknown
  >)
  const { call } = await start(t, file)
  const response = await call('/v1/files/a')
  t.equal(await response.text(), 'x')
  t.equal(response.headers.get('content-type'), 'text/plain')
  t.notMatch(JSON.stringify([...response.headers]), 'secret')
  t.equal((await call('/v1/empty/a')).status, 204)
})

t.test('an HttpBody elsewhere in a message is ordinary JSON', async t => {
  const { send, latest } = await start(t)
  const one = { contentType: 'text/plain', data: 'YWI=' }
  const response = await send('POST', '/v1/nested', { one, many: [one, {}] })
  t.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
  const whole = { ...one, extensions: [] }
  t.same(await response.json(), { one: whole, many: [whole, { contentType: '', data: '', extensions: [] }] })
  t.match(latest(), { one: { contentType: 'text/plain', data: Buffer.from('ab') } })
})

t.test('an error of a method with a raw response is a problem document', async t => {
  const { call } = await service.start(t, () => {
    throw new StatusError(Code.NOT_FOUND, 'The file does not exist', { reason: 'not_found' })
  })
  const response = await call('/v1/files/a')
  t.equal(response.status, 404)
  t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  t.equal(response.headers.get('accept-ranges'), null)
})

const untilNoneOpen = (gateway: { streams: { size: number } }) =>
  until(
    async () => gateway.streams.size,
    size => size === 0,
  )

const chunked: Responder = async function* ({ method }) {
  const wrap = (file: Message) => (method === 'Follow' ? file : download(file))
  yield wrap(raw('video/mp4', ''))
  for (let at = 0; at < BYTES.length; at += 10) yield wrap(raw('text/html', BYTES.subarray(at, at + 10)))
}

t.test('a stream of HttpBody is one raw body with the Content-Type of its first message', async t => {
  const gateway = await service.start(t, chunked)
  for (const path of ['/v1/follow/a', '/v1/follow-file/a']) {
    for (const accept of ['*/*', 'text/event-stream']) {
      const response = await gateway.call(path, { headers: { accept } })
      t.equal(response.status, 200)
      t.equal(response.headers.get('content-type'), 'video/mp4')
      t.equal(response.headers.get('cache-control'), 'no-store')
      t.equal(response.headers.get('x-content-type-options'), 'nosniff')
      t.same(await bytesOf(response), BYTES)
    }
  }
  await untilNoneOpen(gateway)
})

t.test('a raw stream without messages is an empty body; HEAD opens no stream and has no Content-Type', async t => {
  const gateway = await service.start(t, async function* () {
    yield* []
  })
  const response = await gateway.call('/v1/follow/a')
  t.equal(response.status, 200)
  t.equal(response.headers.get('content-type'), 'application/octet-stream')
  t.equal(await response.text(), '')
  const head = await gateway.call('/v1/follow/a', { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.headers.get('content-type'), null)
  t.equal(gateway.upstream.received.length, 1)
})

t.test('the headers of a raw stream are sent with its first message, even if that is empty', async t => {
  const gateway = await service.start(t, async function* ({ signal }) {
    yield raw('text/plain', '')
    await once(signal, 'abort')
  })
  const controller = new AbortController()
  const response = await gateway.call('/v1/follow/a', { signal: controller.signal })
  t.equal(response.headers.get('content-type'), 'text/plain')
  controller.abort()
  await untilNoneOpen(gateway)
})

t.test('an error before the first message of a raw stream is a problem document', async t => {
  const gateway = await service.start(t, async function* () {
    yield* []
    throw new StatusError(Code.NOT_FOUND, 'The file does not exist', { reason: 'not_found' })
  })
  const response = await gateway.call('/v1/follow/a')
  t.equal(response.status, 404)
  t.match(await response.json(), { code: 'not_found' })
})

const failing: Responder = async function* () {
  yield raw('text/plain', 'first')
  throw new Error('secret')
}

t.test('an error after the first byte of a raw stream aborts the response, and the access log shows it', async t => {
  const gateway = await service.start(t, failing)
  const response = await gateway.call('/v1/follow/a')
  t.equal(response.status, 200)
  await t.rejects(response.text(), 'the client sees that the body is incomplete')
  const line = () => gateway.state.lines.find(({ msg }) => msg === 'request')
  await until(
    async () => line(),
    found => found !== undefined,
  )
  t.match(line(), { status: 200, rpc_code: 'INTERNAL', aborted: true })
  await untilNoneOpen(gateway)
})

t.test('an aborted raw stream has no last chunk in HTTP/1.1, and resets the connection in HTTP/1.0', async t => {
  const { port } = await service.start(t, failing)
  const socket = openWire(port)
  socket.write('GET /v1/follow/a HTTP/1.1\r\nHost: x\r\n\r\n')
  let received = ''
  for await (const chunk of socket) received += chunk
  t.match(received, /^HTTP\/1\.1 200 /)
  t.match(received, '5\r\nfirst\r\n')
  t.notMatch(received, '\r\n0\r\n')
  t.notMatch(received, 'secret')

  const old = openWire(port)
  old.write('GET /v1/follow/a HTTP/1.0\r\nHost: x\r\n\r\n')
  const [error] = (await once(old.resume(), 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNRESET')
})

t.test('a shutdown aborts a raw stream that does not end', async t => {
  const gateway = await service.start(t, async function* ({ signal }) {
    yield raw('text/plain', 'first')
    await once(signal, 'abort')
  })
  const response = await gateway.call('/v1/follow/a')
  const [ended] = await Promise.all([t.rejects(response.text()), gateway.openStreams.end(100)])
  t.ok(ended)
  await untilNoneOpen(gateway)
})

t.test(
  'a client that stops reading a raw stream pauses the upstream, and receives every byte when it resumes',
  async t => {
    let sent = 0
    const total = 6000
    const gateway = await service.start(t, async function* () {
      for (; sent < total; sent++) yield raw('application/x-tar', Buffer.alloc(3000, sent))
    })
    const request = http.get({ port: gateway.port, path: '/v1/follow/a', agent: false })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    response.pause()
    let previous = -1
    await until(
      async () => {
        const isPaused = sent === previous && sent > 0
        previous = sent
        return isPaused
      },
      isPaused => isPaused,
      { everyMs: 300 },
    )
    t.ok(sent < total, `${sent} of ${total} messages were sent`)
    let bytes = 0
    for await (const chunk of response) bytes += chunk.length
    t.equal(bytes, total * 3000)
    await untilNoneOpen(gateway)
  },
)

t.test('a client that disconnects cancels the call of a raw stream', async t => {
  const cancelled = Promise.withResolvers<void>()
  const gateway = await service.start(t, async function* ({ signal }) {
    yield raw('text/plain', 'first')
    await once(signal, 'abort')
    cancelled.resolve()
  })
  const controller = new AbortController()
  const response = await gateway.call('/v1/follow/a', { signal: controller.signal })
  await response.body?.getReader().read()
  controller.abort()
  await cancelled.promise
  await untilNoneOpen(gateway)
})

t.test('a request that carries a cookie of its method must have application/json, also with a raw body', async t => {
  const { start } = buildService('c.v1.C', {
    imports: ['google/api/httpbody.proto'],
    methods: [methodSource('Put', '(Q) returns (Empty)', 'put: "/v1/file" body: "file"')],
    messages: `
      message Q {
        google.api.HttpBody file = 1;
        optional string session = 2 [(edge.v1.cookie) = { name: "s" path: "/" same_site: SAME_SITE_STRICT }];
      }
      message Empty {}`,
  })
  const { call, upstream } = await start(t, () => create(EmptySchema))
  const put = (type: string, headers: Record<string, string>) =>
    call('/v1/file', { method: 'PUT', headers: { 'content-type': type, ...headers }, body: BYTES })
  const cookie = { cookie: 's=1', 'sec-fetch-site': 'same-origin' }
  const rejected = await put('image/png', cookie)
  t.equal(rejected.status, 403)
  t.match(await rejected.json(), { code: 'cross_site_request' })
  t.equal((await put('application/json', cookie)).status, 200)
  t.equal((await put('image/png', {})).status, 200)
  t.match(upstream.received[0]?.message, { session: '1', file: { contentType: 'application/json', data: BYTES } })
})

t.test('a path variable in a raw body stops the boot with the name of the field', async t => {
  for (const [rule, field] of [
    ['put: "/v1/{file.content_type}" body: "file"', 'file.content_type'],
    ['put: "/v1/{content_type}" body: "*"', 'content_type'],
  ] as const) {
    const input = field === 'content_type' ? 'google.api.HttpBody' : 'Q'
    const { contract } = buildService('c.v1.C', {
      imports: ['google/api/httpbody.proto'],
      methods: [methodSource('Set', `(${input}) returns (Q)`, rule)],
      messages: 'message Q { google.api.HttpBody file = 1; }',
    })
    t.throws(() => buildRouteTable([{ service: serviceOf(contract, 'c.v1.C'), upstream: 'c' }]), {
      message: new RegExp(`upstream c: c.v1.C/Set: ${field} is given by the path and by the body`),
    })
  }
})
