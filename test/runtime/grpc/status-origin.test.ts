/** Which statuses of @grpc/grpc-js count as those of the peer. Only their messages may be forwarded to clients. */
import { constants, createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import t, { type Test } from 'tap'
import { Code, fromGrpcError, PeerStatusError } from '#runtime/status.ts'

type Respond = (stream: ServerHttp2Stream) => void

/** Calls a method of a server that responds with `respond`. @returns the error of the call. */
async function callFailing(t: Test, respond: Respond, cancelAfterMs?: number) {
  const server = createServer()
  server.on('stream', stream => {
    stream.on('error', () => {})
    respond(stream as ServerHttp2Stream)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const options = { 'grpc.max_receive_message_length': 100, 'grpc.enable_retries': 0 }
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options)
  t.teardown(() => {
    client.close()
    server.close()
  })
  const toBuffer = (bytes: Buffer) => bytes
  const error = await new Promise<ServiceError | null>(resolve => {
    const call = client.makeUnaryRequest('/a.B/C', toBuffer, toBuffer, Buffer.alloc(0), resolve)
    if (cancelAfterMs !== undefined) setTimeout(() => call.cancel(), cancelAfterMs)
  })
  return fromGrpcError(error as ServiceError)
}

const HEADERS = { ':status': 200, 'content-type': 'application/grpc' }

/** Response headers, then trailers with nothing but the status. */
function endWith(code: Code): Respond {
  return stream => {
    stream.respond(HEADERS, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': code, 'grpc-message': 'said by the peer' }))
    stream.end()
  }
}

t.test('a 4xx at the end of a response is of the peer, even without further trailers', async t => {
  const codes = [Code.CANCELLED, Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED, Code.UNAUTHENTICATED, Code.NOT_FOUND]
  for (const code of codes) {
    const error = await callFailing(t, endWith(code))
    t.match(error, { code, message: 'said by the peer' })
    t.type(error, PeerStatusError)
  }
})

const OWN: [name: string, code: Code, respond: Respond, cancelAfterMs?: number][] = [
  ['HTTP 401', Code.UNAUTHENTICATED, stream => stream.respond({ ':status': 401 }, { endStream: true })],
  ['HTTP 403', Code.PERMISSION_DENIED, stream => stream.respond({ ':status': 403 }, { endStream: true })],
  ['RST_STREAM CANCEL', Code.CANCELLED, stream => stream.close(constants.NGHTTP2_CANCEL)],
  ['ENHANCE_YOUR_CALM', Code.RESOURCE_EXHAUSTED, stream => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)],
  ['INADEQUATE_SECURITY', Code.PERMISSION_DENIED, stream => stream.close(constants.NGHTTP2_INADEQUATE_SECURITY)],
  [
    'a message above the limit',
    Code.RESOURCE_EXHAUSTED,
    stream => {
      stream.respond(HEADERS)
      stream.end(Buffer.from([0, 0, 0, 4, 0, ...new Uint8Array(1024)]))
    },
  ],
  ['cancellation by the client', Code.CANCELLED, stream => stream.respond(HEADERS), 50],
]

t.test('a status that the client library creates is not of the peer', async t => {
  for (const [name, code, respond, cancelAfterMs] of OWN) {
    const error = await callFailing(t, respond, cancelAfterMs)
    t.equal(error.code, code, name)
    t.notOk(error instanceof PeerStatusError, `${name}: ${error.message}`)
  }
})
