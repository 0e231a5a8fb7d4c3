/** The behaviour that both transports share: `http2` and `grpc-js`, each with servers of grpc-js, grpc-go and Envoy. */
import t, { type Test } from 'tap'
import { Cancellation } from '../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../gateway/upstream/deadline.ts'
import type { CallObserver, Transport, TransportObserver } from '../../../gateway/upstream/transport.ts'
import type { Any } from '../../../proto/gen/google/protobuf/any.ts'
import { BadRequest, ErrorInfo, RetryInfo } from '../../../proto/gen/google/rpc/error_details.ts'
import { Status } from '../../../proto/gen/google/rpc/status.ts'
import { Code } from '../../../runtime/status.ts'
import { envoyInFrontOf } from '../../support/grpc-peers/envoy-peer.ts'
import { grpcGo } from '../../support/grpc-peers/grpc-go-peer.ts'
import { countUp, grpcJs } from '../../support/grpc-peers/grpc-js-peer.ts'
import { type Peer, type PeerKind, peerMethod } from '../../support/grpc-peers/peer.ts'
import { callPeer, canCall, echo, rejectionOf, TRANSPORTS, waitUntil } from '../../support/grpc-peers/peer-calls.ts'

// The first run builds the Go server and installs Envoy.
t.setTimeout(600_000)

const MAX_MESSAGE_LENGTH = 4 * 1024 * 1024
const TOO_LARGE = { code: Code.RESOURCE_EXHAUSTED, reason: 'upstream_answer_too_large' }

type TransportName = keyof typeof TRANSPORTS

const goMissing = await grpcGo.prepare()
const PEERS: PeerKind[] = [grpcJs, grpcGo, envoyInFrontOf(goMissing === undefined ? grpcGo : grpcJs)]

for (const kind of PEERS) {
  const skip = (await kind.prepare()) ?? false
  for (const name of Object.keys(TRANSPORTS) as TransportName[]) {
    t.test(`transport ${name} with ${kind.name}`, { skip }, t => runSuite(t, kind, name))
  }
}

async function runSuite(t: Test, kind: PeerKind, name: TransportName): Promise<void> {
  const peer = await kind.start()
  const open = (address: string, observer?: TransportObserver) =>
    TRANSPORTS[name]({ address, maxMessageLength: MAX_MESSAGE_LENGTH, observer })
  const transport = open(peer.address)
  t.teardown(async () => {
    await transport.close()
    await peer.kill()
  })

  t.test('messages of 0 bytes to the maximum length are echoed unchanged', async t => {
    for (const length of [0, 1, 5, 222, 16_378, 16_379, 16_380, 65_535, 70_000, 1_000_000, MAX_MESSAGE_LENGTH]) {
      const body = countUp(length)
      t.ok(body.equals(await echo(transport, { body })), `${length} bytes`)
    }
  })

  t.test('1,000 concurrent calls each get their own response', async t => {
    const bodies = Array.from({ length: 1000 }, (_, index) => Buffer.from(`${index}:`.repeat(1 + (index % 400))))
    const responses = await Promise.all(bodies.map(body => echo(transport, { body })))
    t.ok(responses.every((response, index) => bodies[index]?.equals(response)))
  })

  t.test('concurrent large responses share the connection', async t => {
    const lengths = Array.from({ length: 8 }, (_, index) => 1_000_000 + index)
    const responses = await Promise.all(lengths.map(length => callPeer(transport, 'Large', { body: String(length) })))
    t.same(
      responses.map(response => response.length),
      lengths,
    )
    t.ok(responses.every((response, index) => countUp(lengths[index] as number).equals(response)))
  })

  t.test('every status code arrives with its message', async t => {
    const message = 'Grüße: 100 % \n"今日は"'
    for (let code = 1; code <= 16; code++) {
      const metadata = { 'x-code': String(code) }
      const error = await rejectionOf(callPeer(transport, 'Fail', { body: message, metadata }))
      t.match(error, { code, message }, String(Code[code]))
    }
  })

  t.test('the google.rpc details of a status arrive', async t => {
    const metadata = { 'x-code': '6', 'x-details-bin': packedDetails() }
    const error = await rejectionOf(callPeer(transport, 'Fail', { body: 'taken', metadata }))
    t.match(error, {
      code: Code.ALREADY_EXISTS,
      reason: 'email_taken',
      violations: [{ field: 'email', description: 'is taken' }],
      retryAfterMs: 1500,
    })
  })

  t.test('the server receives the metadata and the deadline', async t => {
    const metadata = {
      authorization: `Bearer ${'x'.repeat(700)}`,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'gatehouse-client-user-agent': 'curl/8.0 (a; b) "c"',
      'empty-value': '',
    }
    const response = await callPeer(transport, 'Metadata', { metadata, deadline: deadlineIn(5000) })
    const received = JSON.parse(response.toString())
    t.match(received, metadata)
    t.ok(Number(received['deadline-ms']) <= 5001 && Number(received['deadline-ms']) > 0)
  })

  t.test('a call ends at its deadline, and its server call is cancelled', async t => {
    const before = await count(transport, 'Cancelled')
    const error = await rejectionOf(callPeer(transport, 'Hold', { deadline: deadlineIn(100) }))
    // Behind a proxy the server also ends the call at the deadline. The proxy may forward that as UNAVAILABLE before the
    // client's own timer fires.
    const codes = kind.name.startsWith('Envoy') ? [Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE] : [Code.DEADLINE_EXCEEDED]
    t.ok(codes.includes(error.code), Code[error.code])
    await waitUntil(async () => (await count(transport, 'Cancelled')) >= before + 1)
  })

  t.test('a call whose deadline has passed fails at once with DEADLINE_EXCEEDED', async t => {
    const error = await rejectionOf(echo(transport, { deadline: deadlineIn(-1) }))
    t.equal(error.code, Code.DEADLINE_EXCEEDED)
  })

  t.test('a cancelled call ends at once with CANCELLED, and its server call is cancelled', async t => {
    const before = await count(transport, 'Cancelled')
    const cancellations = Array.from({ length: 10 }, () => new Cancellation())
    const calls = cancellations.map(cancellation =>
      rejectionOf(callPeer(transport, 'Hold', { deadline: deadlineIn(60_000), cancellation })),
    )
    await waitUntil(async () => (await count(transport, 'Waiting')) === 10)
    for (const cancellation of cancellations) cancellation.cancel()
    for (const error of await Promise.all(calls)) t.equal(error.code, Code.CANCELLED)
    await waitUntil(async () => (await count(transport, 'Cancelled')) >= before + 10)
    const late = await rejectionOf(echo(transport, { cancellation: cancellations[0] as Cancellation }))
    t.equal(late.code, Code.CANCELLED, 'a call that is cancelled before it starts')
  })

  t.test('a method that the server does not implement is UNIMPLEMENTED', async t => {
    const error = await rejectionOf(transport.unary('/peers.v1.Peer/None', Buffer.alloc(0), {}, deadlineIn(2000)))
    t.equal(error.code, Code.UNIMPLEMENTED)
  })

  t.test(
    'a response over the maximum length fails its own call, with another reason than a quota of the upstream',
    async t => {
      const [error, response] = await Promise.all([
        rejectionOf(callPeer(transport, 'Large', { body: String(MAX_MESSAGE_LENGTH + 1) })),
        echo(transport),
      ])
      t.match(error, TOO_LARGE)
      t.equal(response.toString(), 'x')
      const body = 'Received message larger than max (9 vs 8)'
      const quota = await rejectionOf(callPeer(transport, 'Fail', { body, metadata: { 'x-code': '8' } }))
      t.equal(quota.code, Code.RESOURCE_EXHAUSTED)
      t.equal(quota.reason, undefined)
    },
  )

  t.test('a compressed response is decompressed', async t => {
    const response = await callPeer(transport, 'Compressed', { body: '300000' })
    t.ok(countUp(300_000).equals(response))
  })

  t.test('a compressed response over the maximum length after decompression is rejected', async t => {
    const error = await rejectionOf(callPeer(transport, 'Compressed', { body: String(MAX_MESSAGE_LENGTH + 1) }))
    t.match(error, TOO_LARGE)
  })

  t.test('invalid metadata fails its own call only', async t => {
    for (const [name, value] of [
      ['x-split', 'a\r\nb: c'],
      ['x-nul', 'a\0'],
      ['x-wide', 'ĀĊ'],
      ['x bad', 'a'],
    ] as const) {
      const error = await rejectionOf(echo(transport, { metadata: { [name]: value } }))
      t.ok(error instanceof Error, JSON.stringify(name))
    }
    t.equal((await echo(transport)).toString(), 'x')
  })

  t.test('observers receive each attempt and the end of each call', async t => {
    const ended: { method: string; code: Code; durationMs: number }[] = []
    const other = open(peer.address, {
      onCallEnd: (method, code, durationMs) => ended.push({ method, code, durationMs }),
    })
    t.teardown(() => other.close())
    t.same(other.state(), { connections: 0, calls: 0, waitingCalls: 0 })
    const succeeding = recordAttempts()
    const failing = recordAttempts()
    const held = callPeer(other, 'Hold', { observer: succeeding })
    const startedAt = performance.now()
    t.match(other.state(), { calls: 1, waitingCalls: 1 })
    await waitUntil(async () => (await count(transport, 'Waiting')) === 1)
    const heldMs = performance.now() - startedAt
    peer.release()
    await held
    await rejectionOf(callPeer(other, 'Fail', { body: 'no', metadata: { 'x-code': '5' }, observer: failing }))
    t.same(succeeding.events, [[1, peer.address], undefined])
    t.match(failing.events, [[1, peer.address], { code: Code.NOT_FOUND }])
    t.match(ended, [
      { method: peerMethod('Hold'), code: Code.OK },
      { method: peerMethod('Fail'), code: Code.NOT_FOUND },
    ])
    t.ok((ended[0]?.durationMs ?? 0) >= heldMs, 'the duration covers the whole call')
    t.same(other.state(), { connections: 1, calls: 0, waitingCalls: 0 })
  })

  t.test('isServing returns the health that the server reports', async t => {
    t.equal(await transport.isServing(), true)
    peer.setServing(false)
    await waitUntil(async () => !(await transport.isServing()))
    peer.setServing(true)
    await waitUntil(() => transport.isServing())
  })

  t.test('calls in flight finish while the server stops gracefully; later ones are UNAVAILABLE', async t => {
    const stopping = await startOther(t, kind)
    const other = open(stopping.address)
    t.teardown(() => other.close())
    await echo(other)
    const calls = Array.from({ length: 20 }, () => callPeer(other, 'Hold'))
    await waitUntil(async () => (await count(other, 'Waiting')) === 20)
    if (kind.name.startsWith('Envoy')) {
      // Envoy does not drain on SIGTERM.
      stopping.release()
      await Promise.all(calls)
      await stopping.stop()
    } else {
      const stopped = stopping.stop()
      await waitUntil(() => other.state().connections === 0)
      stopping.release()
      t.equal((await Promise.all(calls)).length, 20)
      await stopped
    }
    t.equal((await rejectionOf(echo(other))).code, Code.UNAVAILABLE)
  })

  t.test('the transport reconnects to a restarted server; calls in flight at the crash fail', async t => {
    const first = await kind.start()
    const other = open(first.address)
    t.teardown(() => other.close())
    t.equal((await echo(other, { body: '1' })).toString(), '1')
    const interrupted = rejectionOf(callPeer(other, 'Hold', { deadline: deadlineIn(60_000) }))
    await waitUntil(async () => (await count(other, 'Waiting')) === 1)
    await first.kill()
    // A grpc-js server runs in this process, so it cannot crash; it resets its streams.
    t.ok([Code.UNAVAILABLE, Code.CANCELLED].includes((await interrupted).code))
    await waitUntil(async () => !(await canCall(other)))
    const second = await kind.start({ port: first.port })
    t.teardown(() => second.kill())
    await waitUntil(() => canCall(other))
  })

  t.test('close finishes the calls in flight and accepts no new ones', async t => {
    const other = open(peer.address)
    const held = callPeer(other, 'Hold', { body: 'held' })
    await waitUntil(async () => (await count(transport, 'Waiting')) === 1)
    const closed = other.close()
    if (name === 'http2') t.equal((await rejectionOf(echo(other))).code, Code.UNAVAILABLE)
    peer.release()
    t.equal((await held).toString(), 'held')
    await closed
  })
}

async function startOther(t: Test, kind: PeerKind): Promise<Peer> {
  const peer = await kind.start()
  t.teardown(() => peer.kill())
  return peer
}

async function count(transport: Transport, method: 'Waiting' | 'Cancelled'): Promise<number> {
  return Number(await callPeer(transport, method))
}

function recordAttempts(): CallObserver & { events: unknown[] } {
  const events: unknown[] = []
  return {
    events,
    onAttempt: (attempt, server) => events.push([attempt, server]),
    onAttemptEnd: error => events.push(error),
  }
}

function packedDetails(): string {
  const details = [
    any('ErrorInfo', ErrorInfo.encode({ reason: 'email_taken', domain: 'gatehouse', metadata: {} }).finish()),
    any(
      'BadRequest',
      BadRequest.encode({
        fieldViolations: [{ field: 'email', description: 'is taken', reason: '', localizedMessage: undefined }],
      }).finish(),
    ),
    any('RetryInfo', RetryInfo.encode({ retryDelay: { seconds: 1n, nanos: 500_000_000 } }).finish()),
  ]
  return Buffer.from(Status.encode({ code: 6, message: 'taken', details }).finish()).toString('base64')
}

function any(type: string, value: Uint8Array): Any {
  return { typeUrl: `type.googleapis.com/google.rpc.${type}`, value: Buffer.from(value) }
}
