import { readFileSync } from 'node:fs'
import t from 'tap'
import { Code, invalidArgument, StatusError, unauthenticated, unavailable } from '#runtime/status.ts'
import { HTTP_PROBLEMS, HttpProblem, type HttpProblemCode, toProblem } from '../../../gateway/http/problem.ts'

const request = { path: '/v1/things/1', traceId: '0af7651916cd43dd8448eb211c80319c' }

t.test('each gRPC code has the HTTP status of google/rpc/code.proto', async t => {
  const statuses: [Code, number][] = [
    [Code.CANCELLED, 499],
    [Code.UNKNOWN, 500],
    [Code.INVALID_ARGUMENT, 400],
    [Code.DEADLINE_EXCEEDED, 504],
    [Code.NOT_FOUND, 404],
    [Code.ALREADY_EXISTS, 409],
    [Code.PERMISSION_DENIED, 403],
    [Code.UNAUTHENTICATED, 401],
    [Code.RESOURCE_EXHAUSTED, 429],
    [Code.FAILED_PRECONDITION, 400],
    [Code.ABORTED, 409],
    [Code.OUT_OF_RANGE, 400],
    [Code.UNIMPLEMENTED, 501],
    [Code.INTERNAL, 500],
    [Code.UNAVAILABLE, 503],
    [Code.DATA_LOSS, 500],
  ]
  for (const [code, status] of statuses) {
    t.equal(toProblem(new StatusError(code, 'x'), request).problem.status, status, Code[code])
  }
})

t.test('a limit of the gateway is not told as a quota of the client', async t => {
  const limits: [reason: string, status: number, title: string][] = [
    ['upstream_answer_too_large', 502, 'Bad Gateway'],
    ['headers_too_large', 431, 'Request Header Fields Too Large'],
  ]
  const documented = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  for (const [reason, status, title] of limits) {
    const { problem } = toProblem(new StatusError(Code.RESOURCE_EXHAUSTED, 'x', { reason }), request)
    t.match(problem, { status, title, code: reason })
    t.ok(documented.includes(`\`${reason}\``), `docs/errors.md explains ${reason}`)
  }
})

t.test('a problem carries the reason as its code, the violations, the path and the trace', async t => {
  const { problem } = toProblem(invalidArgument([{ field: 'name', description: 'is required' }]), request)
  t.same(problem, {
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    detail: 'Not valid: name',
    instance: '/v1/things/1',
    code: 'invalid_argument',
    trace_id: request.traceId,
    errors: [{ field: 'name', description: 'is required' }],
  })
})

t.test('what an upstream or our own code says of its faults stays inside', async t => {
  const secrets = [
    new StatusError(Code.INTERNAL, 'relation "auth.accounts" does not exist'),
    new StatusError(Code.UNKNOWN, 'at /srv/app/secret.ts:12'),
    new StatusError(Code.UNAVAILABLE, 'No connection established. Last error: connect ECONNREFUSED 10.0.0.7:50051'),
    new StatusError(Code.DEADLINE_EXCEEDED, 'Deadline exceeded after 2.5s,LB pick: 10.0.0.7'),
    new Error('password=hunter2'),
    'a thrown string',
    undefined,
  ]
  for (const error of secrets) {
    const text = JSON.stringify(toProblem(error, request))
    t.notMatch(text, /accounts|secret\.ts|10\.0\.0\.7|hunter2|thrown/)
  }
})

t.test('Retry-After is in whole seconds and never 0', async t => {
  const after = (retryAfterMs: number) =>
    toProblem(unavailable('busy', { retryAfterMs }), request).headers['retry-after']
  t.equal(after(1), '1')
  t.equal(after(1000), '1')
  t.equal(after(1001), '2')
})

t.test('401 says what would be accepted, RFC 6750', async t => {
  const header = (reason: string) => toProblem(unauthenticated(reason, 'No'), request).headers['www-authenticate']
  t.equal(header('unauthenticated'), 'Bearer')
  t.equal(header('token_expired'), 'Bearer error="invalid_token", error_description="No"')
})

t.test('each code of the gateway is documented with its status', async t => {
  const docs = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  for (const code of Object.keys(HTTP_PROBLEMS) as HttpProblemCode[]) {
    const { status } = toProblem(new HttpProblem(code), request).problem
    t.match(docs, new RegExp(`^\\| \`${code}\` *\\| ${status} +\\|`, 'm'), code)
  }
})
