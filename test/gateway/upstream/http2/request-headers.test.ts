import t from 'tap'
import { decodeHeaderBlock } from '../../../../gateway/upstream/http2/hpack/decoder.ts'
import { DynamicTable } from '../../../../gateway/upstream/http2/hpack/dynamic-table.ts'
import { createRequestHeaderEncoder } from '../../../../gateway/upstream/http2/request-headers.ts'
import { Code } from '../../../../runtime/status.ts'

const encoder = createRequestHeaderEncoder({ authority: 'users:50052', secure: false, userAgent: 'test' })

function fieldsOf(metadata: Record<string, string>, timeoutMs = 1000) {
  const { bytes, length } = encoder.encode('/user.v1.UserService/GetUser', metadata, timeoutMs)
  return new Map(decodeHeaderBlock(bytes, 0, length, 1_000_000, new DynamicTable()).fields)
}

t.test('a request has the headers that gRPC over HTTP/2 requires', async t => {
  t.same(Object.fromEntries(fieldsOf({ 'x-name': 'value' })), {
    ':method': 'POST',
    ':scheme': 'http',
    ':path': '/user.v1.UserService/GetUser',
    ':authority': 'users:50052',
    te: 'trailers',
    'content-type': 'application/grpc',
    'user-agent': 'test',
    'grpc-accept-encoding': 'identity,gzip',
    'grpc-timeout': '1000m',
    'x-name': 'value',
  })
})

t.test('metadata keys may be names of Object.prototype', async t => {
  const fields = fieldsOf({ constructor: 'a', ['__proto__']: 'b', valueof: 'c' })
  t.match([fields.get('constructor'), fields.get('__proto__'), fields.get('valueof')], ['a', 'b', 'c'])
})

t.test('grpc-timeout has at most 8 digits and is never shorter than the timeout', async t => {
  for (const [timeoutMs, text] of [
    [1, '1m'],
    [0.2, '1m'],
    [99_999_999, '99999999m'],
    [100_000_000, '100000S'],
    [100_000_001, '100001S'],
    [1e14, '27777778H'],
    [Number.MAX_VALUE, '99999999H'],
    [Infinity, undefined],
  ] as const) {
    t.equal(fieldsOf({}, timeoutMs).get('grpc-timeout'), text)
  }
})

t.test('credentials are encoded as never-indexed literals', async t => {
  const { bytes, length } = encoder.encode('/a.B/C', { authorization: 'Bearer x' }, Infinity)
  t.ok(bytes.subarray(0, length).includes(Buffer.from('1f080842656172657220', 'hex')))
})

t.test('invalid metadata and method paths are rejected with INTERNAL', async t => {
  for (const [key, value] of [
    ['', 'x'],
    ['Upper', 'x'],
    [':path', '/other'],
    ['a:b', 'x'],
    ['a b', 'x'],
    ['a\r\n', 'x'],
    ['te', 'trailers'],
    ['connection', 'close'],
    ['content-type', 'text/html'],
    ['grpc-timeout', '1H'],
    ['grpc-status', '0'],
    ['host', 'x'],
    ['x-a', 'a\r\nb: c'],
    ['x-a', 'a\0b'],
    ['x-a', '\x7f'],
    ['x-a', 'é'],
    ['x-a', 'Ċ'],
    ['x-a', ' a'],
    ['x-a', 'a\t'],
    ['x-bin', 'not base64!'],
    ['x-bin', 'abcde'],
    ['x-bin', 'ab=c'],
  ] as const) {
    t.throws(() => fieldsOf({ [key]: value }), { code: Code.INTERNAL }, JSON.stringify([key, value]))
  }
  for (const path of ['', 'a.B/C', '/a b', '/a\r\n', '/ü']) {
    t.throws(() => encoder.encode(path, {}, 1000), { code: Code.INTERNAL }, JSON.stringify(path))
  }
})

t.test('valid metadata is sent unchanged', async t => {
  const metadata = {
    'x-a': '',
    'x-b': 'a b',
    'x_c.d': '~!"',
    'x-bin': '',
    'y-bin': 'YQ',
    'z-bin': 'YQ==',
    'w-bin': 'YWJj',
  }
  t.match(Object.fromEntries(fieldsOf(metadata)), metadata)
})

t.test('metadata over 256 KiB is RESOURCE_EXHAUSTED', async t => {
  t.throws(() => fieldsOf({ 'x-a': 'a'.repeat(300_000) }), { code: Code.RESOURCE_EXHAUSTED })
  t.equal(fieldsOf({ 'x-a': 'a'.repeat(200_000) }).get('x-a')?.length, 200_000)
})
