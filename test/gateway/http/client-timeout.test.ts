import t from 'tap'
import type { StatusError } from '#runtime/status.ts'
import { clientTimeoutMs } from '../../../gateway/http/client-timeout.ts'

const VALID: [headers: Record<string, string>, ms: number | undefined][] = [
  [{}, undefined],
  [{ 'request-timeout': '2' }, 2000],
  [{ 'request-timeout': '0.25' }, 250],
  [{ 'request-timeout': '00000010' }, 10_000],
  [{ 'request-timeout': '99999999.999' }, 99_999_999_999],
  [{ 'grpc-timeout': '1H' }, 3_600_000],
  [{ 'grpc-timeout': '2M' }, 120_000],
  [{ 'grpc-timeout': '3S' }, 3000],
  [{ 'grpc-timeout': '250m' }, 250],
  [{ 'grpc-timeout': '1500u' }, 1.5],
  [{ 'grpc-timeout': '99999999n' }, 99.999999],
  [{ 'request-timeout': '2', 'grpc-timeout': '250m' }, 250],
  [{ 'request-timeout': '0.1', 'grpc-timeout': '250m' }, 100],
]

t.test('the smaller of Request-Timeout (seconds) and grpc-timeout is the timeout', async t => {
  for (const [headers, ms] of VALID) t.equal(clientTimeoutMs(headers), ms, JSON.stringify(headers))
})

const MALFORMED: Record<string, string[]> = {
  'request-timeout': [
    '',
    '0',
    '0.000',
    '-1',
    '+1',
    '1e3',
    '1.',
    '.5',
    '1.2345',
    '1s',
    '1, 2',
    'Infinity',
    '123456789',
    '1 ',
  ],
  'grpc-timeout': ['', '0S', '1', 'S', '1s', '1D', '-1S', '1.5S', '123456789S', '1S, 2S', ' 1S', '1SS'],
}

t.test('a malformed timeout is INVALID_ARGUMENT with the name of the header', async t => {
  for (const [header, values] of Object.entries(MALFORMED)) {
    for (const value of values) {
      const name = header === 'request-timeout' ? 'Request-Timeout' : header
      const fails = () => clientTimeoutMs({ [header]: value })
      t.throws(fails, { reason: 'invalid_argument', violations: [{ field: name }] } as never, `${header}: ${value}`)
    }
  }
  try {
    clientTimeoutMs({ 'request-timeout': 'x', 'grpc-timeout': 'y' })
    t.fail('accepted')
  } catch (error) {
    t.equal((error as StatusError).violations.length, 2, 'both headers are named')
  }
})
