/**
 * The errors that each method can answer with. They follow from its policy, its binding and its rate limit, from the
 * errors that the contract declares (`edge.v1.error`), and from what services can report in general.
 */
import { AccessLevel, declaredErrorsOf, isIfMatch } from '#runtime/grpc/contract.ts'
import { cookieFields } from '../contract/edge-fields.ts'
import type { PossibleProblem } from '../contract/openapi/problems.ts'
import { isStream, type Route } from '../contract/route-table.ts'
import { HTTP_ERRORS } from '../http/http-errors.ts'
import { reasonPhraseOf } from '../http/http-status.ts'
import { GATEWAY_PROBLEMS, type ProblemKind, SERVICE_PROBLEMS } from '../http/problem-kinds.ts'

/** Code -> what it means, of all problems that do not depend on the contract. */
export const PROBLEM_KINDS: Readonly<Record<string, ProblemKind>> = { ...GATEWAY_PROBLEMS, ...SERVICE_PROBLEMS }

type Code = keyof typeof GATEWAY_PROBLEMS | keyof typeof SERVICE_PROBLEMS

/** What an HTTP parser can find in any request. */
const GENERAL: readonly Code[] = [
  'bad_request',
  'url_too_long',
  'request_timeout',
  'headers_too_large',
  'expectation_failed',
  'transfer_coding_not_supported',
  'http_version_not_supported',
  'unimplemented',
]

/** gRPC codes that any service can report, with the HTTP status of each (google/rpc/code.proto). */
const FOREIGN: readonly (readonly [string, number, string])[] = [
  ['failed_precondition', 400, 'The state of the system does not allow the operation'],
  ['out_of_range', 400, 'A value is outside of the valid range'],
  ['permission_denied', 403, 'The caller may not do this'],
  ['not_found', 404, 'The resource does not exist'],
  ['already_exists', 409, 'The resource already exists'],
  ['resource_exhausted', 429, 'A quota of the service is used up'],
]

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])

/** @param isOwn whether an upstream is a service of Gatehouse, whose errors are those of docs/errors.md. */
export function problemsOf(route: Route, isLimited: boolean, isOwn: boolean): PossibleProblem[] {
  const { descriptor, httpMethod } = route
  const declared = declaredErrorsOf(descriptor).map(({ code, status, description }) => ({
    code,
    status,
    title: reasonPhraseOf(status) ?? 'Error',
    meaning: description,
    detail: description,
  }))
  const foreign = isOwn ? [] : FOREIGN.map(([code, status, meaning]) => withTitle(code, { status, meaning, cure: '' }))
  const conditional = descriptor.input.fields.some(isIfMatch) && !isOwn ? [failedCondition()] : []
  const known = codesOf(route, isLimited, isOwn).map(code => withTitle(code, PROBLEM_KINDS[code] as ProblemKind))
  const general = GENERAL.map(code => ({ ...withTitle(code, PROBLEM_KINDS[code] as ProblemKind), isGeneral: true }))
  const isRead = READING.has(httpMethod)
  const all = [...declared, ...known, ...conditional, ...foreign, ...general]
  const taken = new Set<string>()
  return all.filter(({ code, status }) => {
    if (taken.has(code) || (code === 'already_exists' && isRead)) return false
    taken.add(code)
    return status >= 400
  })
}

function codesOf(route: Route, isLimited: boolean, isOwn: boolean): Code[] {
  const { policy, descriptor, template, body, httpMethod } = route
  const { access, tolerateInvalidToken } = policy
  const isSignedIn = access === AccessLevel.USER || access === AccessLevel.ROLES
  const verifiesToken = access !== AccessLevel.PUBLIC
  const takesCookie = cookieFields(descriptor.input).length > 0
  const codes: readonly (readonly [boolean, ...Code[]])[] = [
    [true, 'invalid_argument'],
    [template.variables.length > 0, 'bad_url'],
    [isSignedIn, 'unauthenticated'],
    [verifiesToken && !tolerateInvalidToken, 'token_invalid', 'token_expired', 'token_revoked'],
    [access === AccessLevel.ROLES, 'permission_denied'],
    [takesCookie, 'cross_site_request'],
    [template.variables.length > 0, 'not_found'],
    [!READING.has(httpMethod), 'aborted'],
    [body.kind !== 'none', 'body_too_large', 'unsupported_media_type'],
    [isLimited, 'rate_limited'],
    [isStream(route), 'too_many_streams'],
    [true, 'internal', 'upstream_answer_too_large', 'unavailable', 'upstream_overloaded'],
    [isOwn, 'database_busy'],
    [verifiesToken, 'keys_unavailable', 'revocations_unknown'],
    [true, 'deadline_exceeded'],
  ]
  return codes.flatMap(([applies, ...found]) => (applies ? found : []))
}

function withTitle(code: string, { status, meaning }: ProblemKind): PossibleProblem {
  const known: Readonly<Record<string, { detail: string }>> = HTTP_ERRORS
  return {
    code,
    status,
    title: reasonPhraseOf(status) ?? 'Error',
    meaning,
    detail: known[code]?.detail ?? `${meaning}.`,
  }
}

function failedCondition(): PossibleProblem {
  const meaning = 'The resource has none of the entity tags in `If-Match`'
  return withTitle('failed_precondition', { status: 412, meaning, cure: '' })
}
