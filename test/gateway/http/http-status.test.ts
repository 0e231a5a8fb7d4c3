import { readFileSync } from 'node:fs'
import t from 'tap'
import { Code, StatusError } from '#runtime/status.ts'
import { httpStatusOf, reasonPhraseOf } from '../../../gateway/http/http-status.ts'

t.test('each gRPC code has the HTTP status of google/rpc/code.proto', async t => {
  const cases: [Code, number][] = [
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
  for (const [code, status] of cases) {
    t.equal(httpStatusOf(new StatusError(code, 'x'), false), status, Code[code])
    t.ok(reasonPhraseOf(status), `status ${status} has a reason phrase`)
  }
})

t.test('a failed condition has status 412 only if the request has If-Match', async t => {
  const cases: [Code, unconditional: number, conditional: number][] = [
    [Code.FAILED_PRECONDITION, 400, 412],
    [Code.ABORTED, 409, 412],
    [Code.NOT_FOUND, 404, 404],
  ]
  for (const [code, unconditional, conditional] of cases) {
    t.equal(httpStatusOf(new StatusError(code, 'x'), false), unconditional, Code[code])
    t.equal(httpStatusOf(new StatusError(code, 'x'), true), conditional, `${Code[code]} with If-Match`)
  }
})

t.test('RESOURCE_EXHAUSTED because of a limit of the gateway is not reported as 429', async t => {
  const cases: [reason: string, status: number, reasonPhrase: string][] = [
    ['upstream_answer_too_large', 502, 'Bad Gateway'],
    ['headers_too_large', 431, 'Request Header Fields Too Large'],
  ]
  const documentation = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  for (const [reason, status, reasonPhrase] of cases) {
    t.equal(httpStatusOf(new StatusError(Code.RESOURCE_EXHAUSTED, 'x', { reason }), false), status)
    t.equal(reasonPhraseOf(status), reasonPhrase)
    t.ok(documentation.includes(`\`${reason}\``), `docs/errors.md documents ${reason}`)
  }
})
