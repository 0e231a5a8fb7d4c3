import t from 'tap'
import { statusOf } from '../../../../gateway/upstream/http2/status-mapping.ts'
import { Code } from '../../../../runtime/status.ts'

const TRAILERS = {
  httpStatus: 0,
  isGrpc: true,
  contentType: undefined,
  contentLength: -1,
  encoding: undefined,
  grpcStatus: '5',
  grpcMessage: undefined,
  grpcStatusDetails: undefined,
  malformed: undefined,
  tooLarge: false,
  retryPushback: undefined,
}

t.test('grpc-message is percent-decoded as UTF-8, and invalid escapes are kept', async t => {
  const messages: [wire: string, read: string][] = [
    ['', ''],
    ['plain', 'plain'],
    ['100%25', '100%'],
    ['Gr%C3%BC%c3%9fe', 'Grüße'],
    ['%E4%BB%8A%0A', '今\n'],
    ['%', '%'],
    ['%4', '%4'],
    ['%zz%41', '%zzA'],
    ['a%20b%', 'a b%'],
    ['%%41', '%A'],
    ['%FF', '\ufffd'],
  ]
  for (const [wire, read] of messages) {
    t.equal(statusOf({ ...TRAILERS, grpcMessage: wire }, 200)?.message, read, JSON.stringify(wire))
  }
})

t.test('without grpc-status, the HTTP status determines the gRPC status', async t => {
  const statuses: [http: number, code: Code][] = [
    [200, Code.UNKNOWN],
    [400, Code.INTERNAL],
    [401, Code.UNAUTHENTICATED],
    [403, Code.PERMISSION_DENIED],
    [404, Code.UNIMPLEMENTED],
    [418, Code.UNKNOWN],
    [429, Code.UNAVAILABLE],
    [502, Code.UNAVAILABLE],
    [503, Code.UNAVAILABLE],
    [504, Code.UNAVAILABLE],
  ]
  for (const [http, code] of statuses) {
    t.equal(statusOf({ ...TRAILERS, grpcStatus: undefined }, http)?.code, code, String(http))
  }
})
