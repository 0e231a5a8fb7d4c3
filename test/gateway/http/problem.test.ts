import t from 'tap'
import { Code, invalidArgument, StatusError, unauthenticated, unavailable } from '#runtime/status.ts'
import { HTTP_ERRORS, HttpError, type HttpErrorCode } from '../../../gateway/http/http-errors.ts'
import { toProblem } from '../../../gateway/http/problem.ts'

const request = { path: '/v1/things/1', traceId: '0af7651916cd43dd8448eb211c80319c' }

t.test('a problem document has the reason as code, the violations, the path and the trace id', async t => {
  const { problem } = toProblem(invalidArgument([{ field: 'name', description: 'is required' }]), request)
  const { detail, ...stable } = problem
  t.ok(detail.includes('name'), 'the detail names the field')
  t.same(stable, {
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    instance: '/v1/things/1',
    code: 'invalid_argument',
    trace_id: request.traceId,
    errors: [{ field: 'name', description: 'is required' }],
  })
})

t.test('each HttpError becomes a problem document with the status and the detail of its code', async t => {
  for (const code of Object.keys(HTTP_ERRORS) as HttpErrorCode[]) {
    const { problem, isInternal } = toProblem(new HttpError(code), request)
    t.match(problem, { code, ...HTTP_ERRORS[code] }, code)
    t.notOk(isInternal, code)
  }
})

t.test('a limit of the gateway is reported with its own code and title, not as a quota of the client', async t => {
  const cases: [reason: string, status: number, title: string][] = [
    ['upstream_answer_too_large', 502, 'Bad Gateway'],
    ['headers_too_large', 431, 'Request Header Fields Too Large'],
  ]
  for (const [reason, status, title] of cases) {
    const { problem } = toProblem(new StatusError(Code.RESOURCE_EXHAUSTED, 'x', { reason }), request)
    t.match(problem, { status, title, code: reason })
  }
})

t.test('a problem document contains no message of an internal error or of a client library', async t => {
  const errors = [
    new StatusError(Code.INTERNAL, 'relation "auth.accounts" does not exist'),
    new StatusError(Code.UNKNOWN, 'at /srv/app/secret.ts:12'),
    new StatusError(Code.UNAVAILABLE, 'No connection established. Last error: connect ECONNREFUSED 10.0.0.7:50051'),
    new StatusError(Code.DEADLINE_EXCEEDED, 'Deadline exceeded after 2.5s,LB pick: 10.0.0.7'),
    new Error('password=hunter2'),
    'a thrown string',
    undefined,
  ]
  for (const error of errors) {
    const text = JSON.stringify(toProblem(error, request))
    t.notMatch(text, /accounts|secret\.ts|10\.0\.0\.7|hunter2|thrown/)
  }
})

t.test('Retry-After is rounded up to whole seconds and is at least 1', async t => {
  const retryAfter = (retryAfterMs: number) =>
    toProblem(unavailable('busy', { retryAfterMs }), request).headers['retry-after']
  t.equal(retryAfter(1), '1')
  t.equal(retryAfter(1000), '1')
  t.equal(retryAfter(1001), '2')
})

t.test('a 401 response has a Bearer challenge, with error="invalid_token" only if a token was sent', async t => {
  const challenge = (reason: string) => toProblem(unauthenticated(reason, 'No'), request).headers['www-authenticate']
  t.equal(challenge('unauthenticated'), 'Bearer')
  t.equal(challenge('token_expired'), 'Bearer error="invalid_token", error_description="No"')
})
