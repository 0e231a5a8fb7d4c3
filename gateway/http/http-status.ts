/** Maps gRPC status to HTTP status. No other file of the gateway knows both. */
import { Code, type StatusError } from '#runtime/status.ts'

/** Source: google/rpc/code.proto. */
const STATUS_BY_CODE: Record<Code, number> = {
  [Code.OK]: 200,
  [Code.CANCELLED]: 499,
  [Code.UNKNOWN]: 500,
  [Code.INVALID_ARGUMENT]: 400,
  [Code.DEADLINE_EXCEEDED]: 504,
  [Code.NOT_FOUND]: 404,
  [Code.ALREADY_EXISTS]: 409,
  [Code.PERMISSION_DENIED]: 403,
  [Code.RESOURCE_EXHAUSTED]: 429,
  [Code.FAILED_PRECONDITION]: 400,
  [Code.ABORTED]: 409,
  [Code.OUT_OF_RANGE]: 400,
  [Code.UNIMPLEMENTED]: 501,
  [Code.INTERNAL]: 500,
  [Code.UNAVAILABLE]: 503,
  [Code.DATA_LOSS]: 500,
  [Code.UNAUTHENTICATED]: 401,
}

/** Reasons for which the gateway itself sets RESOURCE_EXHAUSTED. No quota of the client is used up, so 429 is wrong. */
const STATUS_BY_REASON: ReadonlyMap<string | undefined, number> = new Map([
  ['upstream_answer_too_large', 502],
  ['headers_too_large', 431],
])

/** How an upstream reports that the condition of a request is false. */
const FAILED_CONDITION_CODES: readonly Code[] = [Code.FAILED_PRECONDITION, Code.ABORTED]

/** Reason phrases: RFC 9110 section 15, RFC 6585, and nginx for 499. */
const REASON_PHRASES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  499: 'Client Closed Request',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
}

/**
 * Returns the HTTP status for an error of an upstream or of the gateway. A code that gRPC does not define maps to 500.
 * @param isConditional whether the request has an If-Match header. A failed condition then maps to 412.
 */
export function httpStatusOf(error: StatusError, isConditional: boolean): number {
  if (isConditional && FAILED_CONDITION_CODES.includes(error.code)) return 412
  return STATUS_BY_REASON.get(error.reason) ?? STATUS_BY_CODE[error.code] ?? 500
}

/** Returns the reason phrase of an HTTP status, such as `Not Found`; undefined if no error has the status. */
export function reasonPhraseOf(status: number): string | undefined {
  return REASON_PHRASES[status]
}
