import t from 'tap'
import { Code, PeerStatusError, StatusError, unauthenticated } from '#runtime/status.ts'
import { ForwardedError } from '../../../gateway/http/forwarded-error.ts'
import { HttpError } from '../../../gateway/http/http-errors.ts'
import { toProblem } from '../../../gateway/http/problem.ts'
import { upstreamOverloaded } from '../../../gateway/upstream/circuit-breaker.ts'
import { ConnectionLostError, NotProcessedError, responseTooLarge } from '../../../gateway/upstream/transport.ts'

/** Undefined: an error of the upstream. */
const CASES: [name: string, error: unknown, status: number, type: string | undefined][] = [
  ['no connection', new NotProcessedError('x'), 503, 'destination_unavailable'],
  ['a lost connection', new ConnectionLostError(), 503, 'connection_terminated'],
  ['a deadline', new StatusError(Code.DEADLINE_EXCEEDED, 'x'), 504, 'http_response_timeout'],
  ['an open circuit breaker', upstreamOverloaded('x'), 503, 'connection_limit_reached'],
  ['a response that is too large', responseTooLarge(1), 502, 'http_response_body_size'],
  ['a malformed response', new StatusError(Code.INTERNAL, 'x'), 500, 'http_protocol_error'],
  ['a defect', new TypeError('x'), 500, 'proxy_internal_error'],
  ['no route', new HttpError('route_not_found'), 404, 'http_request_error'],
  ['an unsupported method', new HttpError('method_not_implemented'), 501, 'http_request_error'],
  ['a rate limit', new HttpError('rate_limited'), 429, 'http_request_denied'],
  ['no token', unauthenticated('unauthenticated', 'x'), 401, 'http_request_denied'],
  ['UNAVAILABLE of the upstream', new PeerStatusError(Code.UNAVAILABLE, 'x'), 503, undefined],
  ['NOT_FOUND of the upstream', new ForwardedError(Code.NOT_FOUND, {}), 404, undefined],
]

t.test('Proxy-Status tells the errors of the gateway from those of an upstream', async t => {
  for (const [name, error, status, type] of CASES) {
    const { problem, headers } = toProblem(error, { path: '/', traceId: '0' })
    t.equal(problem.status, status, name)
    t.equal(headers['proxy-status'], type && `gatehouse; error=${type}`, name)
  }
})
