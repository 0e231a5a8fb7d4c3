/**
 * Random and malformed bytes from a peer: each call ends with its own response or a StatusError, and the next connection
 * works. The seed is printed. To run longer, or to repeat a run:
 *
 *   FUZZ_RUNS=100000 FUZZ_SEED=42 node test/gateway/upstream/http2/fuzz.test.ts
 */
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import { createHttp2Transport } from '../../../../gateway/upstream/http2/transport.ts'
import { StatusError } from '../../../../runtime/status.ts'
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  frame,
  HEADERS,
  headerBlock,
  message,
  type RawConnection,
  type RawPeer,
  RESPONSE_HEADERS,
  response,
  SIZE_UPDATE,
  settings,
  startRawPeer,
  TRAILERS,
} from '../../../support/grpc-peers/raw-peer.ts'

const numRuns = Number(process.env['FUZZ_RUNS'] ?? 1000)
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 2 ** 31)
// A run takes 1 to 3 ms.
t.setTimeout(30_000 + 20 * numRuns)

const CALLS = 3
const STREAM_IDS = Array.from({ length: CALLS }, (_, index) => 1 + 2 * index)

const streamId = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...STREAM_IDS) },
  { weight: 1, arbitrary: fc.constantFrom(0, 2, 7, 0x7fff_ffff) },
)
const fieldText = fc.string({ maxLength: 20, size: 'max', unit: 'binary-ascii' })
const field = fc.oneof(
  fc.tuple(fieldText, fieldText),
  fc.tuple(
    fc.constantFrom(':status', 'content-type', 'grpc-status', 'grpc-message', 'grpc-encoding', 'content-length'),
    fc.oneof(
      fieldText,
      fc.constantFrom('200', '103', '404', 'application/grpc', '0', '5', '16', '%e4%zz', 'gzip', '12'),
    ),
  ),
)
const block = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(RESPONSE_HEADERS, TRAILERS, Buffer.concat([RESPONSE_HEADERS, TRAILERS])) },
  { weight: 2, arbitrary: fc.array(field, { maxLength: 6 }).map(fields => headerBlock(...fields)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60, size: 'max' }).map(bytes => Buffer.from(bytes)) },
)
const headers = fc
  .tuple(streamId, block, fc.boolean(), fc.constantFrom(0, END_STREAM), fc.constantFrom(END_HEADERS, END_HEADERS, 0))
  .map(([id, block, updates, end, whole]) =>
    frame(HEADERS, end | whole, id, updates ? Buffer.concat([SIZE_UPDATE, block]) : block),
  )
const data = fc
  .tuple(streamId, fc.constantFrom(0, END_STREAM), fc.nat(30))
  .map(([id, end, cut]) => frame(DATA, end, id, message(`stream ${id}`).subarray(0, cut)))
const anyFrame = fc
  .tuple(fc.nat(12), fc.nat(255), streamId, fc.uint8Array({ maxLength: 40, size: 'max' }))
  .map(([type, flags, id, payload]) => frame(type, flags, id, payload))
const anySettings = fc
  .dictionary(fc.nat(8).map(String), fc.oneof(fc.nat(100_000), fc.nat(0xffff_ffff)))
  .map(values => settings(values))
const validResponse = fc.constantFrom(...STREAM_IDS).map(id => response(id, `stream ${id}`))
const garbage = fc.uint8Array({ maxLength: 200, size: 'max' }).map(bytes => Buffer.from(bytes))

/** The bytes of a session, split into the chunks that are written. */
const session = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: headers },
      { weight: 5, arbitrary: data },
      { weight: 4, arbitrary: validResponse },
      { weight: 2, arbitrary: anyFrame },
      { weight: 1, arbitrary: anySettings },
      { weight: 1, arbitrary: garbage },
    ),
    { maxLength: 25, size: 'max' },
  )
  .chain(parts => {
    const bytes = Buffer.concat(parts)
    return fc
      .array(fc.nat(bytes.length), { maxLength: 8 })
      .map(cuts => [0, ...cuts.toSorted((a, b) => a - b), bytes.length])
      .map(edges => edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge)))
  })

t.test('each call ends with its own response or a StatusError, whatever the peer sends', async t => {
  t.comment(`seed ${seed}, ${numRuns} runs`)
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  await fc.assert(
    fc.asyncProperty(session, fc.boolean(), async (chunks, handshakes) => {
      const outcomes = await play(peer, chunks, handshakes)
      outcomes.forEach((outcome, index) => {
        if (outcome instanceof Error) {
          if (!(outcome instanceof StatusError)) throw outcome
          if (outcome.message === 'Deadline exceeded') throw new Error(`Call ${index} did not end before its deadline`)
        } else if (outcome.startsWith('stream ') && outcome !== `stream ${STREAM_IDS[index]}`) {
          throw new Error(`Call ${index} has the response of another call: ${outcome}`)
        }
      })
    }),
    { numRuns, seed },
  )
  t.pass()
})

async function play(peer: RawPeer, chunks: readonly Buffer[], handshakes: boolean): Promise<(string | Error)[]> {
  const transport = createHttp2Transport({
    address: peer.address,
    maxMessageLength: 10_000,
    limits: { backoff: { initialMs: 1, maxMs: 10 } },
  })
  const call = () =>
    transport.unary('/peers.v1.Peer/Echo', Buffer.from('x'), {}, deadlineIn(10_000)).then(
      response => Buffer.from(response).toString('latin1'),
      (error: Error) => error,
    )
  const calls = STREAM_IDS.map(call)
  const connection = await peer.accept()
  if (handshakes) {
    await connection.handshake()
    for (const _ of STREAM_IDS) await connection.request()
  }
  for (const chunk of chunks) {
    connection.socket.write(chunk)
    await setImmediate()
  }
  connection.socket.end()
  await connection.ended()

  // The next connection works. Calls that were not processed are retried on it.
  const next = await peer.accept()
  await next.handshake()
  const served = serve(next)
  let again = await call()
  // Calls fail until the subchannel has reconnected.
  for (; again instanceof Error; again = await call()) await setImmediate()
  if (again !== 'again') throw new Error(`A new call has the response ${again}`)
  const outcomes = await Promise.all(calls)
  await transport.close()
  next.socket.destroy()
  await served
  return outcomes
}

async function serve(connection: RawConnection): Promise<void> {
  for (let first = true; ; first = false) {
    const request = await connection.next(HEADERS)
    if (request === undefined) return
    connection.send(response(request.streamId, 'again', first))
  }
}
