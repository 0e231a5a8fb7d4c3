/** Client of grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), encoded by hand. */
import { Code, StatusError } from '#runtime/status.ts'
import { deadlineIn } from './deadline.ts'
import type { Transport } from './transport.ts'

// HealthCheckResponse {status: SERVING}: field 1, varint, 1.
const SERVING = Buffer.from([0x08, 0x01])

/** Maximum length of a service name, in octets: the largest length that a varint of one octet holds. */
export const MAX_SERVICE_LENGTH = 127

const CHECK_TIMEOUT_MS = 1000

/** Encodes HealthCheckRequest {service}: field 1, a string. @throws TypeError if it exceeds `MAX_SERVICE_LENGTH`. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service)
  if (name.length > MAX_SERVICE_LENGTH) {
    throw new TypeError(`The name of the health service is longer than ${MAX_SERVICE_LENGTH} octets`)
  }
  return name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name])
}

export function isServing(response: Uint8Array): boolean {
  return SERVING.equals(response)
}

/**
 * Calls grpc.health.v1.Health/Check with a timeout of one second. @param service '' for the server as a whole.
 * @returns whether the server reports SERVING or does not implement the health service; false if the call fails.
 */
export async function checkHealth(transport: Pick<Transport, 'unary'>, service = ''): Promise<boolean> {
  try {
    const request = healthRequest(service)
    const response = await transport.unary('/grpc.health.v1.Health/Check', request, {}, deadlineIn(CHECK_TIMEOUT_MS))
    return isServing(response)
  } catch (error) {
    return error instanceof StatusError && error.code === Code.UNIMPLEMENTED
  }
}
