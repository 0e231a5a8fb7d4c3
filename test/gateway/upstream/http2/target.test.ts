import t from 'tap'
import { parseTarget } from '../../../../gateway/upstream/http2/target.ts'

t.test('gRPC targets are parsed, and invalid ones are a TypeError', async t => {
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
