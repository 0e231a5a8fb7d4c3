import {
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  StatusBuilder,
} from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import { PEER_METHODS, type Peer, type PeerKind, type PeerMethod, type PeerOptions, peerMethod } from './peer.ts'

type Call = ServerUnaryCall<Buffer, Buffer>
type Handler = (call: Call) => Buffer | Promise<Buffer>

/** A server of @grpc/grpc-js in this process. */
export const grpcJs: PeerKind = {
  name: 'grpc-js',
  prepare: async () => undefined,
  start: startGrpcJsPeer,
}

async function startGrpcJsPeer({ port = 0, certificates, maxStreams }: PeerOptions = {}): Promise<Peer> {
  const server = new Server({
    'grpc.max_receive_message_length': 16 * 1024 * 1024,
    ...(maxStreams !== undefined && { 'grpc.max_concurrent_streams': maxStreams }),
  })
  const health = new HealthImplementation({ '': 'SERVING' })
  health.addToServer(server)
  const held = new Set<() => void>()
  addPeerService(server, held)
  const credentials =
    certificates === undefined
      ? ServerCredentials.createInsecure()
      : ServerCredentials.createSsl(
          Buffer.from(certificates.ca),
          [{ cert_chain: Buffer.from(certificates.cert), private_key: Buffer.from(certificates.key) }],
          true,
        )
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  )
  return {
    address: `127.0.0.1:${bound}`,
    port: bound,
    setServing: serving => health.setStatus('', serving ? 'SERVING' : 'NOT_SERVING'),
    release() {
      for (const end of held) end()
    },
    stop: () => new Promise((resolve, reject) => server.tryShutdown(error => (error ? reject(error) : resolve()))),
    kill: async () => server.forceShutdown(),
  }
}

/** @param held functions that end the calls of Hold in progress. */
function addPeerService(server: Server, held: Set<() => void>): void {
  let cancelled = 0
  const handlers: Record<PeerMethod, Handler> = {
    Echo: call => call.request,
    Fail(call) {
      const metadata = new Metadata()
      const [details] = call.metadata.get('x-details-bin')
      if (details !== undefined) metadata.set('grpc-status-details-bin', details)
      throw new StatusBuilder()
        .withCode(Number(call.metadata.get('x-code')[0]))
        .withDetails(call.request.toString())
        .withMetadata(metadata)
        .build()
    },
    Large: ({ request }) => countUp(Number(request)),
    // Servers of grpc-js do not compress.
    Compressed: ({ request }) => countUp(Number(request)),
    Metadata: call =>
      Buffer.from(
        JSON.stringify({ ...call.metadata.getMap(), 'deadline-ms': String(Number(call.getDeadline()) - Date.now()) }),
      ),
    Hold: call =>
      new Promise(resolve => {
        const end = () => {
          held.delete(end)
          resolve(call.request)
        }
        held.add(end)
        call.once('cancelled', () => {
          cancelled++
          end()
        })
      }),
    Waiting: () => Buffer.from(String(held.size)),
    Cancelled: () => Buffer.from(String(cancelled)),
  }
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {}
  const implementation: Record<string, unknown> = {}
  for (const name of PEER_METHODS) {
    definition[name] = {
      path: peerMethod(name),
      requestStream: false,
      responseStream: false,
      requestSerialize: passThrough,
      requestDeserialize: passThrough,
      responseSerialize: passThrough,
      responseDeserialize: passThrough,
    }
    implementation[name] = (call: Call, callback: (error: unknown, response?: Buffer) => void) =>
      void Promise.resolve(call)
        .then(handlers[name])
        .then(
          response => callback(null, response),
          error => callback(error),
        )
  }
  server.addService(definition as ServiceDefinition, implementation as never)
}

/** @returns `length` bytes, each its offset modulo 256. */
export function countUp(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => index))
}

function passThrough(bytes: Buffer): Buffer {
  return bytes
}
