/**
 * The time that a client gives a request, in one of two headers:
 *
 *   Request-Timeout = 1*8DIGIT [ "." 1*3DIGIT ]                          ; seconds
 *   grpc-timeout    = 1*8DIGIT ( "H" / "M" / "S" / "m" / "u" / "n" )     ; gRPC over HTTP/2, "Requests"
 */
import type { IncomingHttpHeaders } from 'node:http'
import { invalidArgument } from '#runtime/status.ts'

const SECONDS = /^[0-9]{1,8}(?:\.[0-9]{1,3})?$/
const GRPC_TIMEOUT = /^([0-9]{1,8})([HMSmun])$/
const UNIT_MS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/**
 * Returns the smaller of the two, in milliseconds; undefined if the client sent neither.
 * @throws StatusError INVALID_ARGUMENT that names each malformed header. A timeout of 0 is malformed.
 */
export function clientTimeoutMs(headers: IncomingHttpHeaders): number | undefined {
  const { 'request-timeout': requestTimeout, 'grpc-timeout': grpcTimeout } = headers
  if (requestTimeout === undefined && grpcTimeout === undefined) return undefined
  const problems: { field: string; description: string }[] = []
  const seconds = parse(requestTimeout, parseSeconds, () =>
    problems.push({ field: 'Request-Timeout', description: 'must be a number of seconds above 0, such as 2.5' }),
  )
  const grpc = parse(grpcTimeout, parseGrpcTimeout, () =>
    problems.push({ field: 'grpc-timeout', description: 'must be a number above 0 with a unit, such as 2500m' }),
  )
  if (problems.length > 0) throw invalidArgument(problems)
  return Math.min(seconds, grpc)
}

/** A header that is not sent, is no bound. */
function parse(
  value: string | string[] | undefined,
  toMs: (text: string) => number | undefined,
  onMalformed: () => void,
): number {
  if (value === undefined) return Infinity
  // Node.js joins a repeated header with a comma, which no form allows.
  const ms = toMs(String(value))
  if (ms !== undefined && ms > 0) return ms
  onMalformed()
  return Infinity
}

function parseSeconds(text: string): number | undefined {
  return SECONDS.test(text) ? Number(text) * 1000 : undefined
}

function parseGrpcTimeout(text: string): number | undefined {
  const [, digits, unit = ''] = GRPC_TIMEOUT.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * (UNIT_MS[unit] as number)
}
