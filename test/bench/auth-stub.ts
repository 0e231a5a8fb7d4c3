/** A stub of auth-svc for the calls of a gateway at start: the key set of the bench and a number of revocations. */
import { createPublicKey, randomUUID } from 'node:crypto'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { AuthServiceService, type GetJwksResponse } from '#proto/auth/v1/auth.ts'
import { type ListRevocationsResponse, RevocationServiceService } from '#proto/auth/v1/revocations.ts'
import type { SigningKey } from './tokens.ts'

export interface AuthStub {
  readonly address: string
  stop(): void
}

/**
 * Starts the stub in this process.
 * @param revocations number of revoked sessions. No token of the bench belongs to them.
 */
export async function startAuthStub(key: SigningKey, revocations: number): Promise<AuthStub> {
  const server = new Server()
  const { kty = '', crv = '', x = '' } = createPublicKey(key.privateKey).export({ format: 'jwk' })
  const jwks: GetJwksResponse = { keys: [{ kty, crv, x, kid: key.kid, use: 'sig', alg: 'EdDSA' }] }
  const expiresAt = new Date(Date.now() + 900_000)
  const list: ListRevocationsResponse = {
    revocations: Array.from({ length: revocations }, () => ({
      target: { $case: 'sessionId', value: randomUUID() },
      notAfter: undefined,
      expiresAt,
    })),
    nextPageToken: '',
  }
  server.addService(pickMethod(AuthServiceService, 'getJwks'), { getJwks: respondWith(jwks) })
  server.addService(pickMethod(RevocationServiceService, 'listRevocations'), { listRevocations: respondWith(list) })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  return { address: `127.0.0.1:${port}`, stop: () => server.forceShutdown() }
}

function pickMethod<Service, Name extends keyof Service>(service: Service, name: Name): Pick<Service, Name> {
  return { [name]: service[name] } as Pick<Service, Name>
}

function respondWith<R>(response: R) {
  return (_call: unknown, callback: (error: null, response: R) => void) => callback(null, response)
}
