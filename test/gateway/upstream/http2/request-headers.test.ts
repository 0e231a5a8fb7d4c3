import t from 'tap'
import { decodeHeaderBlock } from '../../../../gateway/upstream/http2/hpack/decoder.ts'
import { createRequestHeaderEncoder } from '../../../../gateway/upstream/http2/request-headers.ts'
import { parseTarget } from '../../../../gateway/upstream/http2/target.ts'
import { Code } from '../../../../runtime/status.ts'

const heads = createRequestHeaderEncoder({ authority: 'users:50052', secure: false, userAgent: 'test' })

function fieldsOf(metadata: Record<string, string>, timeoutMs = 1000) {
  const { bytes, length } = heads.encode('/user.v1.UserService/GetUser', metadata, timeoutMs)
  return new Map(decodeHeaderBlock(bytes, 0, length, 1_000_000).fields)
}

t.test('a head has what gRPC asks for', async t => {
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

t.test('metadata may be named like what objects inherit', async t => {
  const fields = fieldsOf({ constructor: 'a', ['__proto__']: 'b', valueof: 'c' })
  t.match([fields.get('constructor'), fields.get('__proto__'), fields.get('valueof')], ['a', 'b', 'c'])
})

t.test('a timeout has at most 8 digits and is never shorter than the time left', async t => {
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

t.test('credentials are never indexed, by anyone on the way', async t => {
  const { bytes, length } = heads.encode('/a.B/C', { authorization: 'Bearer x' }, Infinity)
  t.ok(bytes.subarray(0, length).includes(Buffer.from('1f080842656172657220', 'hex')))
})

t.test('what may not go on the wire does not', async t => {
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
    t.throws(() => heads.encode(path, {}, 1000), { code: Code.INTERNAL }, JSON.stringify(path))
  }
})

t.test('what may go does', async t => {
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

t.test('metadata has an end', async t => {
  t.throws(() => fieldsOf({ 'x-a': 'a'.repeat(300_000) }), { code: Code.RESOURCE_EXHAUSTED })
  t.equal(fieldsOf({ 'x-a': 'a'.repeat(200_000) }).get('x-a')?.length, 200_000)
})

t.test('targets are read as gRPC names them', async t => {
  const at = (host: string, port: number) => ({ host, port })
  for (const [target, addresses, hasNames] of [
    ['127.0.0.1:50051', [at('127.0.0.1', 50051)], false],
    ['auth-svc:50051', [at('auth-svc', 50051)], true],
    ['dns:auth-svc:1', [at('auth-svc', 1)], true],
    ['dns:///auth-svc:1', [at('auth-svc', 1)], true],
    ['dns://10.0.0.1/auth-svc:1', [at('auth-svc', 1)], true],
    ['[::1]:1', [at('::1', 1)], false],
    ['ipv4:10.0.0.1:1,10.0.0.2:2', [at('10.0.0.1', 1), at('10.0.0.2', 2)], false],
    ['a:1, b:2', [at('a', 1), at('b', 2)], true],
  ] as const) {
    t.match(parseTarget(target), { addresses, hasNames }, target)
  }
  for (const target of [
    '',
    'host',
    'host:',
    'host:0',
    'host:65536',
    'host:x',
    'unix:/a',
    'http://a:1',
    'a:1,',
    '::1:1',
  ]) {
    t.throws(() => parseTarget(target), TypeError, target)
  }
})
