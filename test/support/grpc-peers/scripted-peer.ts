/** A server of @grpc/grpc-js whose method Echo a test implements. */
import { Metadata, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { Code } from '#runtime/status.ts'

export type ScriptedCall = ServerUnaryCall<Buffer, Buffer>

/** A response: its message, or the status of an error. `undefined`: the server never responds. */
export type Scripted = Buffer | { code: Code; pushback?: string } | undefined

export interface ScriptedPeer {
  readonly address: string
  readonly port: number
  /** The metadata of all calls, in order. */
  readonly received: Record<string, unknown>[]
  stop(): void
}

/** @param respond called for each attempt. @param service its full name; default peers.v1.Peer. */
export async function startScriptedPeer(
  respond: (call: ScriptedCall, attempt: number) => Scripted | Promise<Scripted>,
  port = 0,
  service = 'peers.v1.Peer',
): Promise<ScriptedPeer> {
  const server = new Server()
  const received: Record<string, unknown>[] = []
  const handle = async (call: ScriptedCall, callback: sendUnaryData<Buffer>) => {
    received.push(call.metadata.getMap())
    const scripted = await respond(call, received.length)
    if (scripted === undefined) return
    if (!('code' in scripted)) {
      callback(null, scripted)
      return
    }
    const metadata = new Metadata()
    if (scripted.pushback !== undefined) metadata.set('grpc-retry-pushback-ms', scripted.pushback)
    callback({ code: scripted.code, details: Code[scripted.code], metadata })
  }
  const bytes = (value: Buffer) => value
  const echo = {
    path: `/${service}/Echo`,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  }
  server.addService({ Echo: echo }, { Echo: handle as never })
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, found) =>
      error ? reject(error) : resolve(found),
    ),
  )
  return { address: `127.0.0.1:${bound}`, port: bound, received, stop: () => server.forceShutdown() }
}
