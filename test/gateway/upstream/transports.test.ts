/**
 * What every transport must do, with every server: our own HTTP/2 client and grpc-js, each against grpc-js, grpc-go and
 * Envoy.
 */
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Cancellation } from '../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../gateway/upstream/deadline.ts'
import { createGrpcJsTransport } from '../../../gateway/upstream/grpc-js/transport.ts'
import { createHttp2Transport } from '../../../gateway/upstream/http2/transport.ts'
import type { CallObserver, Transport, TransportObserver } from '../../../gateway/upstream/transport.ts'
import type { Any } from '../../../proto/gen/google/protobuf/any.ts'
import { BadRequest, ErrorInfo, RetryInfo } from '../../../proto/gen/google/rpc/error_details.ts'
import { Status } from '../../../proto/gen/google/rpc/status.ts'
import { Code, StatusError } from '../../../runtime/status.ts'
import { envoyBefore } from '../../support/grpc-peers/envoy-peer.ts'
import { grpcGo } from '../../support/grpc-peers/grpc-go-peer.ts'
import { countUp, grpcJs } from '../../support/grpc-peers/grpc-js-peer.ts'
import { type Peer, type PeerKind, peerMethod } from '../../support/grpc-peers/peer.ts'

// Go may have to be built and Envoy installed first.
t.setTimeout(600_000)

const MAX_MESSAGE_LENGTH = 4 * 1024 * 1024
type OpenTransport = (address: string, observer?: TransportObserver) => Transport
const TRANSPORTS: Record<string, OpenTransport> = {
  'our own transport': (address, observer) =>
    createHttp2Transport({ address, maxMessageLength: MAX_MESSAGE_LENGTH, observer }),
  'grpc-js as a transport': (address, observer) =>
    createGrpcJsTransport({ address, maxMessageLength: MAX_MESSAGE_LENGTH, observer }),
}
const TOO_LARGE = { code: Code.RESOURCE_EXHAUSTED, reason: 'upstream_answer_too_large' }

const withoutGo = await grpcGo.prepare()
const PEERS: PeerKind[] = [grpcJs, grpcGo, envoyBefore(withoutGo === undefined ? grpcGo : grpcJs)]

for (const kind of PEERS) {
  const skip = (await kind.prepare()) ?? false
  for (const [name, open] of Object.entries(TRANSPORTS)) {
    t.test(`${name} with ${kind.name}`, { skip }, t => runSuite(t, kind, open))
  }
}

async function runSuite(t: Test, kind: PeerKind, open: OpenTransport): Promise<void> {
  const peer = await kind.start()
  const transport = open(peer.address)
  t.teardown(async () => {
    await transport.close()
    await peer.kill()
  })

  t.test('bytes come back as they went, from none to the largest message', async t => {
    for (const length of [0, 1, 5, 222, 16_378, 16_379, 16_380, 65_535, 70_000, 1_000_000, MAX_MESSAGE_LENGTH]) {
      const message = countUp(length)
      t.ok(message.equals(await call(transport, 'Echo', message)), `${length} bytes`)
    }
  })

  t.test('a thousand calls at once each get their own answer', async t => {
    const messages = Array.from({ length: 1000 }, (_, index) => Buffer.from(`${index}:`.repeat(1 + (index % 400))))
    const answers = await Promise.all(messages.map(message => call(transport, 'Echo', message)))
    t.ok(answers.every((answer, index) => messages[index]?.equals(answer)))
  })

  t.test('large answers at once share the connection', async t => {
    const lengths = Array.from({ length: 8 }, (_, index) => 1_000_000 + index)
    const answers = await Promise.all(lengths.map(length => call(transport, 'Large', Buffer.from(String(length)))))
    t.same(
      answers.map(answer => answer.length),
      lengths,
    )
    t.ok(answers.every((answer, index) => countUp(lengths[index] as number).equals(answer)))
  })

  t.test('every status comes back with its message', async t => {
    const message = 'Grüße: 100 % \n"今日は"'
    for (let code = 1; code <= 16; code++) {
      const error = await failure(call(transport, 'Fail', Buffer.from(message), { 'x-code': String(code) }))
      t.match(error, { code, message }, String(Code[code]))
    }
  })

  t.test('the details of a status come back', async t => {
    const error = await failure(
      call(transport, 'Fail', Buffer.from('taken'), { 'x-code': '6', 'x-details-bin': packedDetails() }),
    )
    t.match(error, {
      code: Code.ALREADY_EXISTS,
      reason: 'email_taken',
      violations: [{ field: 'email', description: 'is taken' }],
      retryAfterMs: 1500,
    })
  })

  t.test('metadata and the deadline arrive', async t => {
    const metadata = {
      authorization: `Bearer ${'x'.repeat(700)}`,
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'gatehouse-client-user-agent': 'curl/8.0 (a; b) "c"',
      'empty-value': '',
    }
    const answer = await call(transport, 'Metadata', Buffer.alloc(0), metadata, deadlineIn(5000))
    const received = JSON.parse(answer.toString())
    t.match(received, metadata)
    t.ok(Number(received['deadline-ms']) <= 5001 && Number(received['deadline-ms']) > 0)
  })

  t.test('a call ends at its deadline, and the server hears of it', async t => {
    const before = await cancelledCount(transport)
    const error = await failure(call(transport, 'Sleep', Buffer.alloc(0), {}, deadlineIn(100)))
    // The server behind a proxy ends the call at the same moment, which the proxy, if it is quicker than our timer,
    // passes on as its own UNAVAILABLE.
    const codes = kind.name.startsWith('Envoy') ? [Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE] : [Code.DEADLINE_EXCEEDED]
    t.ok(codes.includes(error.code), Code[error.code])
    await untilCancelled(transport, before + 1)
  })

  t.test('a deadline that has passed ends a call at once', async t => {
    const error = await failure(call(transport, 'Echo', Buffer.alloc(0), {}, deadlineIn(-1)))
    t.equal(error.code, Code.DEADLINE_EXCEEDED)
  })

  t.test('an aborted call ends at once, and the server hears of it', async t => {
    const before = await cancelledCount(transport)
    const cancellations = Array.from({ length: 10 }, () => new Cancellation())
    const calls = cancellations.map(cancellation =>
      failure(call(transport, 'Sleep', Buffer.alloc(0), {}, deadlineIn(60_000), cancellation)),
    )
    // Their answers come behind those of the calls before them.
    await call(transport, 'Pause', Buffer.from('50'))
    for (const cancellation of cancellations) cancellation.cancel()
    for (const error of await Promise.all(calls)) t.equal(error.code, Code.CANCELLED)
    await untilCancelled(transport, before + 10)
    const late = await failure(call(transport, 'Echo', Buffer.alloc(0), {}, deadlineIn(1000), cancellations[0]))
    t.equal(late.code, Code.CANCELLED, 'and one that was aborted before it began')
  })

  t.test('a method that the server does not have is UNIMPLEMENTED', async t => {
    const error = await failure(transport.unary('/peers.v1.Peer/None', Buffer.alloc(0), {}, deadlineIn(2000)))
    t.equal(error.code, Code.UNIMPLEMENTED)
  })

  t.test('an answer over our limit is not taken for a quota of the upstream, and others go on', async t => {
    const [error, answer] = await Promise.all([
      failure(call(transport, 'Large', Buffer.from(String(MAX_MESSAGE_LENGTH + 1)))),
      call(transport, 'Pause', Buffer.from('50')),
    ])
    t.match(error, TOO_LARGE)
    t.equal(answer.toString(), '50')
    const quota = await failure(
      call(transport, 'Fail', Buffer.from('Received message larger than max (9 vs 8)'), { 'x-code': '8' }),
    )
    t.equal(quota.code, Code.RESOURCE_EXHAUSTED)
    t.equal(quota.reason, undefined)
  })

  t.test('a compressed answer is inflated', async t => {
    const answer = await call(transport, 'Compressed', Buffer.from('300000'))
    t.ok(countUp(300_000).equals(answer))
  })

  t.test('a compressed answer that inflates to more than our limit is not taken either', async t => {
    const error = await failure(call(transport, 'Compressed', Buffer.from(String(MAX_MESSAGE_LENGTH + 1))))
    t.match(error, TOO_LARGE)
  })

  t.test('metadata that would break the protocol fails its own call only', async t => {
    for (const [name, value] of [
      ['x-split', 'a\r\nb: c'],
      ['x-nul', 'a\0'],
      ['x-wide', 'ĀĊ'],
      ['x bad', 'a'],
    ] as const) {
      const error = await failure(call(transport, 'Echo', Buffer.alloc(0), { [name]: value }))
      t.ok(error instanceof Error, JSON.stringify(name))
    }
    t.equal((await call(transport, 'Echo', Buffer.from('on'))).toString(), 'on')
  })

  t.test('it tells of each call: its attempts to who traces it, its end to who counts', async t => {
    const ended: { method: string; code: Code; durationMs: number }[] = []
    const other = open(peer.address, {
      onCallEnd: (method, code, durationMs) => ended.push({ method, code, durationMs }),
    })
    t.teardown(() => other.close())
    t.same(other.state(), { connections: 0, calls: 0, waitingCalls: 0 })
    const good = recordAttempts()
    const bad = recordAttempts()
    const waiting = traced(other, 'Pause', Buffer.from('30'), good)
    t.match(other.state(), { calls: 1, waitingCalls: 1 })
    await waiting
    await failure(traced(other, 'Fail', Buffer.from('no'), bad, { 'x-code': '5' }))
    t.same(good.heard, [[1, peer.address], undefined])
    t.match(bad.heard, [[1, peer.address], { code: Code.NOT_FOUND }])
    t.match(ended, [
      { method: peerMethod('Pause'), code: Code.OK },
      { method: peerMethod('Fail'), code: Code.NOT_FOUND },
    ])
    t.ok((ended[0]?.durationMs ?? 0) >= 29, 'from beginning to end')
    t.same(other.state(), { connections: 1, calls: 0, waitingCalls: 0 })
  })

  t.test('it asks the server whether it serves', async t => {
    t.equal(await transport.isServing(), true)
    peer.setServing(false)
    await until(async () => !(await transport.isServing()))
    peer.setServing(true)
    await until(() => transport.isServing())
  })

  t.test('what is under way is finished while the server stops', async t => {
    const stopping = await startOther(t, kind)
    const other = open(stopping.address)
    t.teardown(() => other.close())
    await call(other, 'Echo', Buffer.alloc(0))
    const calls = Array.from({ length: 20 }, () => call(other, 'Pause', Buffer.from('200')))
    await call(other, 'Pause', Buffer.from('50'))
    if (kind.name.startsWith('Envoy')) {
      // It cuts off what is under way when it is told to end.
      await Promise.all(calls)
      await stopping.stop()
    } else {
      const stopped = stopping.stop()
      t.equal((await Promise.all(calls)).length, 20)
      await stopped
    }
    t.equal((await failure(call(other, 'Echo', Buffer.alloc(0)))).code, Code.UNAVAILABLE, 'then it is UNAVAILABLE')
  })

  t.test('a server that comes back is found again', async t => {
    const first = await kind.start()
    const other = open(first.address)
    t.teardown(() => other.close())
    t.equal((await call(other, 'Echo', Buffer.from('1'))).toString(), '1')
    const cutOff = failure(call(other, 'Sleep', Buffer.alloc(0), {}, deadlineIn(60_000)))
    await call(other, 'Pause', Buffer.from('50'))
    await first.kill()
    // A server in this process cannot be killed: it resets its calls at best.
    t.ok([Code.UNAVAILABLE, Code.CANCELLED].includes((await cutOff).code), 'a call is cut off')
    await until(async () => !(await answers(other)))
    const second = await kind.start({ port: first.port })
    t.teardown(() => second.kill())
    await until(() => answers(other))
  })

  t.test('closing finishes what is under way, and nothing begins after', async t => {
    const other = open(peer.address)
    const underWay = call(other, 'Pause', Buffer.from('100'))
    await call(other, 'Pause', Buffer.from('20'))
    const closed = other.close()
    if (open === TRANSPORTS['our own transport']) {
      t.equal((await failure(call(other, 'Echo', Buffer.alloc(0)))).code, Code.UNAVAILABLE)
    }
    t.equal((await underWay).toString(), '100')
    await closed
  })
}

async function startOther(t: Test, kind: PeerKind): Promise<Peer> {
  const peer = await kind.start()
  t.teardown(() => peer.kill())
  return peer
}

function call(
  transport: Transport,
  method: Parameters<typeof peerMethod>[0],
  message: Buffer,
  metadata: Record<string, string> = {},
  deadline = deadlineIn(10_000),
  cancellation?: Cancellation,
): Promise<Buffer> {
  return transport.unary(peerMethod(method), message, metadata, deadline, cancellation) as Promise<Buffer>
}

function traced(
  transport: Transport,
  method: Parameters<typeof peerMethod>[0],
  message: Buffer,
  observer: CallObserver,
  metadata: Record<string, string> = {},
): Promise<Uint8Array> {
  return transport.unary(peerMethod(method), message, metadata, deadlineIn(10_000), undefined, observer)
}

function recordAttempts(): CallObserver & { heard: unknown[] } {
  const heard: unknown[] = []
  return {
    heard,
    onAttempt: (attempt, server) => heard.push([attempt, server]),
    onAttemptEnd: error => heard.push(error),
  }
}

async function failure(call: Promise<unknown>): Promise<StatusError> {
  try {
    await call
  } catch (error) {
    return error as StatusError
  }
  throw new Error('The call did not fail')
}

async function answers(transport: Transport): Promise<boolean> {
  return call(transport, 'Echo', Buffer.alloc(0), {}, deadlineIn(1000)).then(
    () => true,
    (error: unknown) => {
      if (error instanceof StatusError) return false
      throw error
    },
  )
}

async function cancelledCount(transport: Transport): Promise<number> {
  return Number(await call(transport, 'Cancelled', Buffer.alloc(0)))
}

async function untilCancelled(transport: Transport, count: number): Promise<void> {
  await until(async () => (await cancelledCount(transport)) >= count)
}

/** Asks again until it is so; the test's timeout is the bound. The turn in between is for the connections. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await setImmediate()
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
