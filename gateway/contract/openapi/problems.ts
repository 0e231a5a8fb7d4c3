/**
 * The error responses of the OpenAPI document. Operations share them: each response and each problem document is defined
 * once under `components`.
 */
import type { JsonSchema } from '../json-schema.ts'
import { createUniqueNames } from '../unique-names.ts'

/** An error that a method can answer with. */
export interface PossibleProblem {
  /** Stable error code. */
  readonly code: string
  readonly status: number
  /** Reason phrase of the status. */
  readonly title: string
  /** When the error occurs. Markdown. */
  readonly meaning: string
  /** Member `detail` of the example. */
  readonly detail: string
  /** Whether the request can be at fault before or beyond the method: listed under `default`. */
  readonly isGeneral?: boolean
}

/** The schema of a problem document, under `components.schemas.Problem`. */
export const PROBLEM_SCHEMA: JsonSchema = {
  type: 'object',
  description: 'Problem document of an error (RFC 9457).',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code', 'trace_id'],
  properties: {
    type: { type: 'string', description: 'Always `about:blank`: `code` identifies the type of the problem.' },
    title: { type: 'string', description: 'Reason phrase of the HTTP status.' },
    status: { type: 'integer', description: 'The HTTP status.' },
    detail: { type: 'string', description: 'Explanation of the error for people. The wording may change.' },
    instance: { type: 'string', description: 'Path of the request.' },
    code: { type: 'string', description: 'Stable error code for programs.' },
    trace_id: { type: 'string', description: 'ID of the trace, which also appears in the logs.' },
    errors: {
      type: 'array',
      description: 'Violations, one per invalid field.',
      items: {
        type: 'object',
        required: ['field', 'description'],
        properties: {
          field: { type: 'string', description: 'JSON path of the field.' },
          description: { type: 'string', description: 'The rule that the field breaks.' },
        },
      },
    },
    details: {
      type: 'array',
      description: 'Further details, each a google.protobuf.Any in ProtoJSON. Unknown types have the base64 `value`.',
      items: { type: 'object', required: ['@type'], properties: { '@type': { type: 'string' } } },
    },
  },
}

/** The headers of responses, under `components.headers`. */
export const HEADERS = {
  RateLimitPolicy: {
    description:
      'Quota of the rate-limit class of the request: `q` tokens, which an empty bucket regains in `w` seconds (draft-ietf-httpapi-ratelimit-headers).',
    schema: { type: 'string' },
    example: '"user";q=100;w=10',
  },
  RateLimit: {
    description:
      'What is left of the quota: `r` tokens; after `t` seconds there are more (draft-ietf-httpapi-ratelimit-headers).',
    schema: { type: 'string' },
    example: '"user";r=99;t=1',
  },
  RetryAfter: {
    description: 'Seconds to wait before the request is sent again (RFC 9110 section 10.2.3).',
    schema: { type: 'integer' },
    example: 1,
  },
  WwwAuthenticate: {
    description: 'Challenge of the scheme Bearer (RFC 6750 section 3).',
    schema: { type: 'string' },
    example: 'Bearer error="invalid_token", error_description="The access token has expired"',
  },
  ETag: {
    description: 'Entity tag for If-Match and If-None-Match.',
    schema: { type: 'string' },
    example: '"6b1c0f2a"',
  },
} as const

/** Returns the reference to a header. */
export function headerRef(name: keyof typeof HEADERS): object {
  return { $ref: `#/components/headers/${name}` }
}

/** Returns the headers of each response to a request that a rate limit was charged for. */
export function rateLimitHeaders(): Record<string, object> {
  return { RateLimit: headerRef('RateLimit'), 'RateLimit-Policy': headerRef('RateLimitPolicy') }
}

const DESCRIPTIONS: Record<number, string> = {
  400: 'The request is invalid. `errors` lists the invalid fields.',
  401: 'The caller is not authenticated.',
  403: 'The caller is not allowed to do this.',
  404: 'The resource does not exist, or the caller may not see it.',
  409: 'The request conflicts with the current state of the resource.',
  412: 'The entity tag of the resource is not in `If-Match`.',
  413: 'The body is too large.',
  415: 'The body is not JSON, or is compressed.',
  429: 'Too many requests or open streams. Retry after the time in `Retry-After`.',
  500: 'An internal error. Report the `trace_id`.',
  502: 'The response of the service cannot be sent.',
  503: 'A service is unavailable. Retry after the time in `Retry-After`.',
  504: 'The call timed out; it may have taken effect.',
}

const DEFAULT_DESCRIPTION = 'Any other error, such as a malformed HTTP request.'

/** A request that the examples of problem documents are about. */
export interface ExampleRequest {
  readonly path: string
  /** JSON path of a field of the request; undefined if it has none. */
  readonly field: string | undefined
}

export interface ProblemResponses {
  /** The responses of `components.responses`, and the problem documents of `components.examples`. */
  readonly responses: Readonly<Record<string, object>>
  readonly examples: Readonly<Record<string, object>>
  /** Returns the error responses of an operation, by status. @param isLimited whether a rate limit applies to it. */
  of(problems: readonly PossibleProblem[], isLimited: boolean, request: ExampleRequest): Record<string, object>
}

export function createProblemResponses(): ProblemResponses {
  const responses: Record<string, object> = {}
  const examples: Record<string, object> = {}
  const responseNames = createUniqueNames()
  const exampleNames = createUniqueNames()
  const known = new Map<string, string>()

  function once(key: string, take: () => string): string {
    const name = known.get(key) ?? take()
    known.set(key, name)
    return name
  }

  function exampleRef(problem: PossibleProblem, request: ExampleRequest): object {
    const name = once(`example ${problem.code} ${problem.status} ${problem.detail}`, () => {
      const taken = exampleNames.take(`Problem.${problem.code.replace(/[^A-Za-z0-9._-]+/g, '.')}`)
      examples[taken] = { summary: problem.meaning, value: documentOf(problem, request) }
      return taken
    })
    return { $ref: `#/components/examples/${name}` }
  }

  function responseRef(
    status: string,
    problems: readonly PossibleProblem[],
    isLimited: boolean,
    request: ExampleRequest,
  ) {
    const shown = problems.map(problem => [problem.code, exampleRef(problem, request)] as const)
    const key = JSON.stringify([status, shown, isLimited])
    const name = once(key, () => {
      const title = status === 'default' ? 'Other Error' : (problems[0]?.title ?? 'Error')
      const taken = responseNames.take(`Problem.${title.replace(/[^A-Za-z]/g, '')}`)
      responses[taken] = responseOf(status, problems, isLimited, Object.fromEntries(shown))
      return taken
    })
    return { $ref: `#/components/responses/${name}` }
  }

  return {
    responses,
    examples,
    of(problems, isLimited, request) {
      const byStatus = new Map<string, PossibleProblem[]>()
      for (const problem of problems) {
        const status = problem.isGeneral ? 'default' : String(problem.status)
        byStatus.set(status, [...(byStatus.get(status) ?? []), problem])
      }
      const statuses = [...byStatus.keys()].filter(status => status !== 'default').sort()
      return Object.fromEntries(
        [...statuses, 'default'].map(status => [
          status,
          responseRef(status, byStatus.get(status) ?? [], isLimited, request),
        ]),
      )
    },
  }
}

function responseOf(
  status: string,
  problems: readonly PossibleProblem[],
  isLimited: boolean,
  examples: Record<string, object>,
): object {
  const codes = problems.map(({ code }) => `\`${code}\``).join(', ')
  const description = status === 'default' ? DEFAULT_DESCRIPTION : (DESCRIPTIONS[Number(status)] ?? 'An error.')
  const headers = {
    ...(isLimited && status !== 'default' && rateLimitHeaders()),
    ...((status === '429' || status === '503') && { 'Retry-After': headerRef('RetryAfter') }),
    ...(status === '401' && { 'WWW-Authenticate': headerRef('WwwAuthenticate') }),
  }
  return {
    description: codes === '' ? description : `${description} Codes: ${codes}.`,
    ...(Object.keys(headers).length > 0 && { headers }),
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        ...(problems.length > 0 && { examples }),
      },
    },
  }
}

/** The trace of the example in the specification of W3C Trace Context. */
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c'

function documentOf({ code, status, title, detail }: PossibleProblem, { path, field }: ExampleRequest): object {
  const isViolation = code === 'invalid_argument' && field !== undefined
  return {
    type: 'about:blank',
    title,
    status,
    detail: isViolation ? `Invalid fields: ${field}` : detail,
    instance: path,
    code,
    trace_id: TRACE_ID,
    ...(isViolation && { errors: [{ field, description: 'is required' }] }),
  }
}
