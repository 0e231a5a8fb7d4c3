/** grpc.health.v1, the two messages of which are too small for generated code. */
import { Code, StatusError } from '#runtime/status.ts'
import type { Transport } from './transport.ts'

// HealthCheckRequest with no service: the server as a whole.
const WHOLE_SERVER = new Uint8Array()
// HealthCheckResponse {status: SERVING}: field 1, varint, 1.
const SERVING = Buffer.from([0x08, 0x01])

/** A server without the health service counts as serving: it answered. */
export async function askHealth(transport: Pick<Transport, 'unary'>): Promise<boolean> {
  try {
    const response = await transport.unary('/grpc.health.v1.Health/Check', WHOLE_SERVER, {}, Date.now() + 1000)
    return SERVING.equals(response)
  } catch (error) {
    return error instanceof StatusError && error.code === Code.UNIMPLEMENTED
  }
}
