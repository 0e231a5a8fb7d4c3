/** grpc.health.v1, the two messages of which are too small for generated code. */
import { Code, StatusError } from '#runtime/status.ts'
import { deadlineIn } from './deadline.ts'
import type { Transport } from './transport.ts'

// HealthCheckResponse {status: SERVING}: field 1, varint, 1.
const SERVING = Buffer.from([0x08, 0x01])

/** Octets of a service's name, so that one octet tells its length. */
export const MAX_SERVICE_LENGTH = 127

/** HealthCheckRequest {service}: field 1, a string. @param service '': the server as a whole. */
export function healthRequest(service: string): Buffer {
  const name = Buffer.from(service)
  if (name.length > MAX_SERVICE_LENGTH) throw new TypeError('The name of the health service is too long')
  return name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name])
}

export function isServing(response: Uint8Array): boolean {
  return SERVING.equals(response)
}

/**
 * A server without the health service counts as serving: it answered.
 * @param service '': the server as a whole.
 */
export async function askHealth(transport: Pick<Transport, 'unary'>, service = ''): Promise<boolean> {
  try {
    const request = healthRequest(service)
    const response = await transport.unary('/grpc.health.v1.Health/Check', request, {}, deadlineIn(1000))
    return isServing(response)
  } catch (error) {
    return error instanceof StatusError && error.code === Code.UNIMPLEMENTED
  }
}
