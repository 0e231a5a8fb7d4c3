/** What clients get of the errors of an upstream, through a complete gateway over both transports. */

import { once } from 'node:events'
import { constants, createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf'
import { AnySchema, anyPack, DurationSchema } from '@bufbuild/protobuf/wkt'
import { Metadata } from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import type { Any } from '#proto/google/protobuf/any.ts'
import {
  BadRequestSchema,
  DebugInfoSchema,
  ErrorInfoSchema,
  LocalizedMessageSchema,
  RetryInfoSchema,
} from '#proto/google/rpc/error_details_pb.js'
import { Status } from '#proto/google/rpc/status.ts'
import { Code } from '#runtime/status.ts'
import type { Problem } from '../../../gateway/http/problem.ts'
import { buildContract } from '../../support/contract.ts'
import { startTestGateway, type TestGatewayOptions } from '../../support/test-gateway.ts'

const contract = buildContract({
  'library/v1/library.proto': `
    syntax = "proto3";
    package library.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    import "google/protobuf/any.proto";
    import "google/rpc/error_details.proto";

    service LibraryService {
      rpc GetBook(GetBookRequest) returns (Book) {
        option (google.api.http) = { get: "/v1/books/{id}" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc ReadBook(GetBookRequest) returns (stream Book) {
        option (google.api.http) = { get: "/v1/books/{id}:read" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
    }
    message GetBookRequest { string id = 1; }
    message Book { string title = 1; }
    message Shelf { string shelf_name = 1; int64 free_places = 2; google.protobuf.Any more = 3; }
    message Report {
      string title = 1;
      google.rpc.DebugInfo debug = 2;
      google.rpc.ErrorInfo info = 3;
      repeated google.protobuf.Any causes = 4;
      map<string, google.rpc.ErrorInfo> infos = 5;
      repeated google.rpc.DebugInfo traces = 6;
    }
  `,
})
const ShelfSchema = contract.getMessage('library.v1.Shelf') as DescMessage
const ReportSchema = contract.getMessage('library.v1.Report') as DescMessage

interface SentStatus {
  code: Code
  message?: string
  details?: Any[]
}

/** The status as grpc-js sends it. */
function sent({ code, message = '', details = [] }: SentStatus) {
  const metadata = new Metadata()
  if (details.length > 0) {
    metadata.set('grpc-status-details-bin', Buffer.from(Status.encode({ code, message, details }).finish()))
  }
  return { code, details: message, metadata }
}

function pack<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Any {
  const { typeUrl, value } = anyPack(schema, create(schema, init))
  return { typeUrl, value: Buffer.from(value) }
}

function lengthPrefixed(bytes: Uint8Array): number[] {
  return [bytes.length, ...bytes]
}

/** Starts a gateway whose upstream fails with the status returned by `next`. @returns a function that gets a book. */
async function startLibrary(t: Test, options: Partial<TestGatewayOptions> = {}) {
  let status: SentStatus = { code: Code.UNKNOWN }
  const gateway = await startTestGateway(t, {
    contract,
    service: 'library.v1.LibraryService',
    respond() {
      throw sent(status)
    },
    errors: { errors: 'pass', errorMetadata: [] },
    ...options,
  })
  async function getBook(next: SentStatus, path = '/v1/books/17') {
    status = next
    const response = await gateway.call(path)
    return { response, problem: (await response.json()) as Problem }
  }
  return { ...gateway, getBook }
}

const CLIENT_ERRORS: [code: Code, status: number, reason: string][] = [
  [Code.CANCELLED, 499, 'cancelled'],
  [Code.INVALID_ARGUMENT, 400, 'invalid_argument'],
  [Code.NOT_FOUND, 404, 'not_found'],
  [Code.ALREADY_EXISTS, 409, 'already_exists'],
  [Code.PERMISSION_DENIED, 403, 'permission_denied'],
  [Code.RESOURCE_EXHAUSTED, 429, 'resource_exhausted'],
  [Code.FAILED_PRECONDITION, 400, 'failed_precondition'],
  [Code.ABORTED, 409, 'aborted'],
  [Code.OUT_OF_RANGE, 400, 'out_of_range'],
  [Code.UNAUTHENTICATED, 401, 'unauthenticated'],
]
const SERVER_ERRORS = [
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.UNIMPLEMENTED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
]
const INFO = pack(ErrorInfoSchema, {
  reason: 'NO_SUCH_BOOK',
  domain: 'library.example',
  metadata: { shelf: 'A7', host: 'db-3.internal' },
})

for (const transport of ['http2', 'grpc-js'] as const) {
  t.test(`the message of a 4xx of the upstream is the detail (${transport})`, async t => {
    const { getBook } = await startLibrary(t, { transport })
    for (const [code, status, reason] of CLIENT_ERRORS) {
      const { problem } = await getBook({ code, message: `there is no book 17 (${code})` })
      t.match(problem, { status, code: reason, detail: `there is no book 17 (${code})` })
      t.notOk('details' in problem)
    }
  })

  t.test(`nothing that the upstream sends with a 5xx reaches the client; it is logged (${transport})`, async t => {
    const { getBook, state } = await startLibrary(t, { transport })
    for (const code of SERVER_ERRORS) {
      state.lines.length = 0
      const { problem } = await getBook({ code, message: 'at db-3.internal:5432', details: [INFO] })
      t.ok(problem.status >= 500)
      t.notMatch(JSON.stringify(problem), /internal:|NO_SUCH_BOOK|library\.example|A7/, Code[code])
      t.match(JSON.stringify(state.lines), /at db-3\.internal:5432/, `the message of ${Code[code]} is logged`)
    }
  })

  t.test(`what the client library of the gateway reports does not reach the client (${transport})`, async t => {
    const { getBook, upstream } = await startLibrary(t, { transport })
    await getBook({ code: Code.NOT_FOUND })
    upstream.close()
    const { problem } = await getBook({ code: Code.NOT_FOUND })
    t.match(problem, { status: 503, code: 'unavailable' })
    t.notMatch(problem.detail, /127\.0\.0\.1|ECONN|connect/)
  })
}

/** Responses without a status of gRPC, from which the client library derives a status of 4xx. */
const NOT_GRPC: [name: string, respond: (stream: ServerHttp2Stream) => void][] = [
  ['HTTP 401', stream => stream.respond({ ':status': 401, 'x-host': 'db-3' }, { endStream: true })],
  ['HTTP 403', stream => stream.respond({ ':status': 403, 'x-host': 'db-3' }, { endStream: true })],
  ['ENHANCE_YOUR_CALM', stream => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)],
  ['CANCEL', stream => stream.close(constants.NGHTTP2_CANCEL)],
]

for (const transport of ['http2', 'grpc-js'] as const) {
  t.test(`a 4xx that the client library of the gateway derives has no text of it (${transport})`, async t => {
    let respond = (_: ServerHttp2Stream) => {}
    const server = createServer()
    server.on('stream', stream => {
      stream.on('error', () => {})
      respond(stream as ServerHttp2Stream)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const { call } = await startLibrary(t, { transport, address })
    for (const path of ['/v1/books/17', '/v1/books/17:read']) {
      for (const [name, next] of NOT_GRPC) {
        respond = next
        const problem = (await (await call(path)).json()) as Problem
        t.equal(problem.detail, problem.title, `${name} ${path}: ${problem.status} ${problem.detail}`)
        t.notOk('details' in problem)
      }
    }
  })
}

t.test('the reason of ErrorInfo is the code, prefixed by its domain or else by the service', async t => {
  const { getBook } = await startLibrary(t)
  const cases: [reason: string, domain: string, code: string][] = [
    ['NO_SUCH_BOOK', 'library.example', 'library.example/NO_SUCH_BOOK'],
    ['NO_SUCH_BOOK', '', 'library.v1.LibraryService/NO_SUCH_BOOK'],
    ['token_expired', 'gatehouse', 'gatehouse/token_expired'],
    ['token_expired', '', 'library.v1.LibraryService/token_expired'],
    ['headers_too_large', 'gatehouse', 'gatehouse/headers_too_large'],
    ['A', 'not a domain\r\n', 'library.v1.LibraryService/A'],
    ['two words', 'library.example', 'not_found'],
    ['', 'library.example', 'not_found'],
  ]
  for (const [reason, domain, code] of cases) {
    const details = [pack(ErrorInfoSchema, { reason, domain })]
    const { response, problem } = await getBook({ code: Code.NOT_FOUND, message: 'no', details })
    t.equal(problem.code, code)
    t.equal(response.status, 404, 'the reason does not change the status')
  }
  const { response } = await getBook({
    code: Code.UNAUTHENTICATED,
    details: [pack(ErrorInfoSchema, { reason: 'token_expired', domain: 'gatehouse' })],
  })
  t.equal(response.headers.get('www-authenticate'), 'Bearer')
})

t.test('details are typed JSON; DebugInfo is removed and unknown types are base64', async t => {
  const { getBook } = await startLibrary(t)
  const debug = pack(DebugInfoSchema, { detail: 'SECRET', stackEntries: ['at secret.go:7'] })
  const nested = pack(ShelfSchema, { shelfName: 'A7', more: create(AnySchema, debug) } as Record<string, unknown>)
  const { problem } = await getBook({
    code: Code.NOT_FOUND,
    message: 'no',
    details: [
      INFO,
      debug,
      nested,
      pack(LocalizedMessageSchema, { locale: 'fr', message: 'pas de livre' }),
      pack(ShelfSchema, { shelfName: 'A7', freePlaces: 9007199254740993n } as Record<string, unknown>),
      pack(DurationSchema, { seconds: 3n }),
      { typeUrl: 'type.example/foreign.v1.Thing', value: Buffer.from([8, 1]) },
      { typeUrl: 'type.googleapis.com/library.v1.Shelf', value: Buffer.from([0xff]) },
    ],
  })
  t.strictSame(problem.details, [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'NO_SUCH_BOOK', domain: 'library.example' },
    { '@type': 'type.googleapis.com/library.v1.Shelf', shelfName: 'A7' },
    { '@type': 'type.googleapis.com/google.rpc.LocalizedMessage', locale: 'fr', message: 'pas de livre' },
    { '@type': 'type.googleapis.com/library.v1.Shelf', shelfName: 'A7', freePlaces: '9007199254740993' },
    { '@type': 'type.googleapis.com/google.protobuf.Duration', value: '3s' },
    { '@type': 'type.example/foreign.v1.Thing', value: 'CAE=' },
  ])
  t.notMatch(JSON.stringify(problem), /SECRET|secret|DebugInfo/)
})

t.test('DebugInfo and the metadata of ErrorInfo are removed inside of other details as well', async t => {
  const { getBook } = await startLibrary(t, { errors: { errors: 'pass', errorMetadata: ['shelf'] } })
  const debug = { detail: 'SECRET', stackEntries: ['at secret.go:7'] }
  const info = { reason: 'NO_SUCH_BOOK', domain: 'library.example', metadata: { shelf: 'A7', host: 'db-3.internal' } }
  const cause = create(AnySchema, INFO)
  const foreign = create(AnySchema, { typeUrl: 'type.example/foreign.v1.Thing', value: Buffer.from([8, 1]) })
  const report = {
    title: 'r',
    debug,
    info,
    causes: [cause, create(AnySchema, pack(DebugInfoSchema, debug)), foreign],
    infos: { first: info },
    traces: [debug],
  }
  const wrapped = pack(ReportSchema, { causes: [create(AnySchema, pack(ReportSchema, report as never))] } as never)
  const { problem } = await getBook({
    code: Code.NOT_FOUND,
    message: 'no',
    details: [
      pack(ReportSchema, report as never),
      wrapped,
      // Values whose end is malformed, and a foreign type that contains ErrorInfo.
      { ...INFO, value: Buffer.concat([INFO.value, Buffer.from([0xff])]) },
      { ...wrapped, value: Buffer.concat([wrapped.value, Buffer.from([0xff])]) },
      { ...pack(ReportSchema, { info } as never), value: Buffer.from([0x1a, ...lengthPrefixed(INFO.value), 0xff]) },
      { typeUrl: 'type.example/foreign.v1.Status', value: wrapped.value },
    ],
  })
  const clean = { reason: 'NO_SUCH_BOOK', domain: 'library.example', metadata: { shelf: 'A7' } }
  const cleanReport = {
    title: 'r',
    info: clean,
    causes: [
      { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', ...clean },
      { '@type': 'type.example/foreign.v1.Thing', value: 'CAE=' },
    ],
    infos: { first: clean },
  }
  const type = 'type.googleapis.com/library.v1.Report'
  t.strictSame(problem.details, [
    { '@type': type, ...cleanReport },
    { '@type': type, causes: [{ '@type': type, ...cleanReport }] },
  ])
  const values = problem.details?.map(({ value }) => Buffer.from(`${value}`, 'base64').toString('latin1'))
  t.notMatch(JSON.stringify([problem, values]), /SECRET|secret\.go|DebugInfo|db-3/)
})

t.test('errorMetadata lists the keys of ErrorInfo.metadata that clients get', async t => {
  const { getBook } = await startLibrary(t, { errors: { errors: 'pass', errorMetadata: ['shelf', 'absent'] } })
  const { problem } = await getBook({ code: Code.NOT_FOUND, details: [INFO] })
  t.strictSame(problem.details?.[0]?.['metadata'], { shelf: 'A7' })
})

t.test('field violations and the retry delay of the upstream are members of the problem document', async t => {
  const { getBook } = await startLibrary(t)
  const { response, problem } = await getBook({
    code: Code.INVALID_ARGUMENT,
    details: [
      pack(BadRequestSchema, { fieldViolations: [{ field: 'id', description: 'is no\r\nnumber' }] }),
      pack(RetryInfoSchema, { retryDelay: { seconds: 7n } }),
    ],
  })
  t.strictSame(problem.errors, [{ field: 'id', description: 'is no number' }])
  t.equal(response.headers.get('retry-after'), '7')
})

t.test('detail has at most 1 KiB and no control characters', async t => {
  const { getBook } = await startLibrary(t)
  const control = '\u0007'.repeat(2000)
  const cut = (await getBook({ code: Code.NOT_FOUND, message: `${control}x${'😀'.repeat(100)}` })).problem.detail
  t.ok(cut.isWellFormed() && cut.startsWith('x😀'), 'no surrogate pair is cut')
  const { problem } = await getBook({ code: Code.NOT_FOUND, message: 'a\u0000b\r\n\u0007c\u001b[31m \u202ed\u0085 ' })
  t.equal(problem.detail, 'a b c [31m  d')
  for (const character of ['x', 'é', '書', '😀']) {
    const { detail } = (await getBook({ code: Code.NOT_FOUND, message: character.repeat(1500) })).problem
    t.ok(Buffer.byteLength(detail) <= 1024 && Buffer.byteLength(detail) > 1015, `${Buffer.byteLength(detail)} bytes`)
    t.match(detail, new RegExp(`^(?:${character})+…$`, 'u'), 'no character is cut')
  }
})

t.test('the details of one error are bounded in number and length', async t => {
  const { getBook } = await startLibrary(t)
  const many = Array.from({ length: 40 }, () => pack(LocalizedMessageSchema, { locale: 'en', message: 'x' }))
  t.equal((await getBook({ code: Code.NOT_FOUND, details: many })).problem.details?.length, 16)
  const long = Array.from({ length: 3 }, () => pack(LocalizedMessageSchema, { message: 'x'.repeat(6000) }))
  t.equal((await getBook({ code: Code.NOT_FOUND, details: long })).problem.details?.length, 2)
})

t.test('malformed details do not change the status and the message', async t => {
  const { getBook } = await startLibrary(t)
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from([0xff]) }]
  const { problem } = await getBook({ code: Code.NOT_FOUND, message: 'there is no book 17', details })
  t.match(problem, { status: 404, code: 'not_found', detail: 'there is no book 17' })
})

t.test('with `errors: hide` clients get the status only', async t => {
  const { getBook } = await startLibrary(t, { errors: { errors: 'hide', errorMetadata: ['shelf'] } })
  const { problem } = await getBook({ code: Code.NOT_FOUND, message: 'there is no book 17', details: [INFO] })
  t.match(problem, { status: 404, code: 'not_found', detail: 'Not Found', details: undefined, errors: undefined })
})

t.test(
  'with `errors: own` a reason of the domain `gatehouse` is the code, and a message without one is not sent',
  async t => {
    const { getBook } = await startLibrary(t, { errors: { errors: 'own', errorMetadata: [] } })
    const details = [pack(ErrorInfoSchema, { reason: 'email_taken', domain: 'gatehouse' })]
    t.match((await getBook({ code: Code.ALREADY_EXISTS, message: 'Taken', details })).problem, {
      code: 'email_taken',
      detail: 'Taken',
    })
    t.match((await getBook({ code: Code.ALREADY_EXISTS, message: 'Taken' })).problem, { detail: 'Conflict' })
  },
)

t.test('an error of a stream before its first message is forwarded as well', async t => {
  const gateway = await startTestGateway(t, {
    contract,
    service: 'library.v1.LibraryService',
    // biome-ignore lint/correctness/useYield: the stream fails before its first message
    async *respond() {
      throw sent({ code: Code.PERMISSION_DENIED, message: 'members only', details: [INFO] })
    },
    errors: { errors: 'pass', errorMetadata: [] },
  })
  const response = await gateway.call('/v1/books/17:read')
  t.match(await response.json(), { status: 403, code: 'library.example/NO_SUCH_BOOK', detail: 'members only' })
})

t.test('an error in the middle of a stream is forwarded in its last item', async t => {
  const Book = contract.getMessage('library.v1.Book') as DescMessage
  const gateway = await startTestGateway(t, {
    contract,
    service: 'library.v1.LibraryService',
    async *respond() {
      yield create(Book, { title: 'one' } as Record<string, unknown>)
      throw sent({ code: Code.NOT_FOUND, message: 'there is no page 2' })
    },
    errors: { errors: 'pass', errorMetadata: [] },
  })
  const lines = (await (await gateway.call('/v1/books/17:read')).text()).trim().split('\n')
  t.match(JSON.parse(lines.at(-1) ?? ''), { error: { status: 404, detail: 'there is no page 2' } })
})

t.test('each message of a 4xx is forwarded from the middle of a stream', async t => {
  let code = Code.OK
  const gateway = await startTestGateway(t, {
    contract,
    service: 'library.v1.LibraryService',
    async *respond() {
      yield create(contract.getMessage('library.v1.Book') as DescMessage)
      throw sent({ code, message: 'said by the upstream' })
    },
    errors: { errors: 'pass', errorMetadata: [] },
  })
  for (const [next, status] of CLIENT_ERRORS) {
    code = next
    const lines = (await (await gateway.call('/v1/books/17:read')).text()).trim().split('\n')
    t.match(JSON.parse(lines.at(-1) ?? ''), { error: { status, detail: 'said by the upstream' } }, Code[next])
  }
})

t.test('a reason does not decide whether the message is sent', async t => {
  const { getBook } = await startLibrary(t)
  for (const code of SERVER_ERRORS) {
    const details = [pack(ErrorInfoSchema, { reason: 'headers_too_large', domain: 'gatehouse' })]
    const { problem } = await getBook({ code, message: 'at db-3.internal:5432', details })
    t.ok(problem.status >= 500)
    t.notMatch(JSON.stringify(problem), /db-3|headers_too_large/, Code[code])
  }
  const details = [pack(ErrorInfoSchema, { reason: 'upstream_answer_too_large', domain: 'gatehouse' })]
  const { problem } = await getBook({ code: Code.NOT_FOUND, message: 'there is no book 17', details })
  t.match(problem, { status: 404, code: 'gatehouse/upstream_answer_too_large', detail: 'there is no book 17' })
})

t.test('an error of the gateway itself is not changed', async t => {
  const { call } = await startLibrary(t)
  t.match(await (await call('/v1/books/17?unknown=1')).json(), { status: 400, code: 'invalid_argument' })
})
