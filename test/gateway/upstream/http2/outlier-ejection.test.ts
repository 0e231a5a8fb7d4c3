/** Outlier ejection of the http2 transport, with servers that fail in each way. */
import t, { type Test } from 'tap'
import { callPolicy, SINGLE_CALL } from '../../../../gateway/upstream/call-policy.ts'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import {
  type AddressStates,
  type EjectionOptions,
  isServerFailure,
  OutlierEjection,
} from '../../../../gateway/upstream/http2/outlier-ejection.ts'
import { createHttp2Transport } from '../../../../gateway/upstream/http2/transport.ts'
import { ConnectionLostError, NotProcessedError, type Transport } from '../../../../gateway/upstream/transport.ts'
import { Code, PeerStatusError, StatusError } from '../../../../runtime/status.ts'
import { startFaultProxy } from '../../../support/fault-proxy.ts'
import { echo, waitUntil } from '../../../support/grpc-peers/peer-calls.ts'
import { startRawPeer } from '../../../support/grpc-peers/raw-peer.ts'
import { type Scripted, startScriptedPeer } from '../../../support/grpc-peers/scripted-peer.ts'

/** Longer than any test. */
const LONG_MS = 600_000
const THRESHOLD = 3

function openWithEjection(t: Test, addresses: readonly string[], options: Partial<EjectionOptions> = {}) {
  const events: [address: string, outcome: string, durationMs: number][] = []
  const states: AddressStates = new Map()
  const ejection = { consecutiveFailures: THRESHOLD, baseMs: LONG_MS, maxMs: LONG_MS, ...options }
  const transport = createHttp2Transport({
    address: addresses.join(','),
    maxMessageLength: 1000,
    limits: { backoff: { initialMs: 1, maxMs: 1 } },
    ejection: { ...ejection, states, onEjection: (...event) => void events.push(event) },
  })
  t.teardown(() => transport.close())
  return { transport, events, states }
}

async function serve(t: Test, respond: (attempt: number) => Scripted) {
  const peer = await startScriptedPeer((_call, attempt) => respond(attempt))
  t.teardown(() => peer.stop())
  return peer
}

const OK = Buffer.from('ok')
const UNAVAILABLE = { code: Code.UNAVAILABLE }

/** Makes calls one after another. @returns their results: `OK` or the name of the code. */
async function results(
  transport: Transport,
  count: number,
  timeoutMs = 10_000,
  policy = SINGLE_CALL,
): Promise<string[]> {
  const found: string[] = []
  for (let call = 0; call < count; call++) {
    const result = await echo(transport, { deadline: deadlineIn(timeoutMs), policy }).then(
      () => 'OK',
      (error: StatusError) => Code[error.code] as string,
    )
    found.push(result)
  }
  return found
}

async function connected(transport: Transport, count: number): Promise<void> {
  await waitUntil(() => transport.state().connections === count)
}

t.test('an address whose calls fail in a row gets no more calls', async t => {
  const [bad, good] = [await serve(t, () => UNAVAILABLE), await serve(t, () => OK)]
  const { transport, events } = openWithEjection(t, [bad.address, good.address])
  await connected(transport, 2)
  await results(transport, 2 * THRESHOLD)
  t.strictSame(events, [[bad.address, 'ejected', LONG_MS]])
  t.equal(transport.state().connections, 1)
  t.strictSame(new Set(await results(transport, 10)), new Set(['OK']))
  t.equal(bad.received.length, THRESHOLD)
})

t.test('a success between failures resets the count', async t => {
  const [flaky, good] = [
    await serve(t, attempt => (attempt % THRESHOLD === 0 ? OK : UNAVAILABLE)),
    await serve(t, () => OK),
  ]
  const { transport, events } = openWithEjection(t, [flaky.address, good.address])
  await connected(transport, 2)
  await results(transport, 40)
  t.strictSame(events, [])
})

t.test('an error that a request causes does not count', async t => {
  const [strict, good] = [await serve(t, () => ({ code: Code.INVALID_ARGUMENT })), await serve(t, () => OK)]
  const { transport, events } = openWithEjection(t, [strict.address, good.address])
  await connected(transport, 2)
  await results(transport, 20)
  t.strictSame(events, [])
})

t.test('at most half of the addresses are ejected', async t => {
  const peers = await Promise.all([1, 2, 3].map(() => serve(t, () => UNAVAILABLE)))
  const { transport, events } = openWithEjection(
    t,
    peers.map(({ address }) => address),
  )
  await connected(transport, 3)
  await results(transport, 30)
  t.equal(events.filter(([, outcome]) => outcome === 'ejected').length, 1)
  t.ok(events.filter(([, outcome]) => outcome === 'spared').length >= 2)
  t.equal(transport.state().connections, 2)
})

t.test('a single address is never ejected', async t => {
  const peer = await serve(t, () => UNAVAILABLE)
  const { transport, events } = openWithEjection(t, [peer.address])
  await results(transport, 20)
  t.strictSame([events, peer.received.length], [[], 20])
})

t.test('an ejected address gets calls if the others are unreachable', async t => {
  const [flaky, other] = [
    await serve(t, attempt => (attempt <= THRESHOLD ? UNAVAILABLE : OK)),
    await serve(t, () => OK),
  ]
  const { transport, events } = openWithEjection(t, [flaky.address, other.address])
  await connected(transport, 2)
  await results(transport, 2 * THRESHOLD)
  t.equal(events.length, 1)
  other.stop()
  await waitUntil(async () => flaky.received.length > THRESHOLD || (await results(transport, 1)).length === 0)
  t.strictSame(await results(transport, 3), ['OK', 'OK', 'OK'])
})

t.test('an address comes back after its time, and the time grows with each ejection', async t => {
  const [bad, good] = [await serve(t, () => UNAVAILABLE), await serve(t, () => OK)]
  const { transport, events } = openWithEjection(t, [bad.address, good.address], { baseMs: 20, maxMs: 50 })
  await connected(transport, 2)
  await waitUntil(async () => {
    await results(transport, 2)
    return events.length >= 4
  })
  t.strictSame(
    events.slice(0, 4).map(([, , durationMs]) => durationMs),
    [20, 40, 50, 50],
  )
})

t.test('ejections are forgotten: one after ten seconds without another', async t => {
  const states: AddressStates = new Map()
  const durations: number[] = []
  const ejection = new OutlierEjection({ consecutiveFailures: 1, baseMs: 100, maxMs: 1000 }, states, {
    onChange() {},
    onEjection: (_address, _outcome, durationMs) => void durations.push(durationMs),
  })
  ejection.setAddresses(new Set(['a', 'b']))
  const a = ejection.stateOf('a')
  if (a === undefined) throw new Error('no state')
  for (const ago of [0, 0, 0, 10_001, 60_000]) {
    a.ejectedUntil = performance.now() - ago
    ejection.recordFailure('a')
  }
  t.strictSame(durations, [100, 200, 300, 300, 100])
})

t.test('calls that hang until their deadline eject the address, unless the deadline is that of the client', async t => {
  const [hanging, good] = [await serve(t, () => undefined), await serve(t, () => OK)]
  const { transport, events } = openWithEjection(t, [hanging.address, good.address])
  await connected(transport, 2)
  await results(transport, 4 * THRESHOLD, 50, callPolicy(false, true))
  t.strictSame(events, [], 'a client cannot eject a server')
  await results(transport, 2 * THRESHOLD, 50)
  t.match(events, [[hanging.address, 'ejected']])
})

t.test('a half-open connection ejects its address long before keepalive detects it', async t => {
  const [first, second] = [await serve(t, () => OK), await serve(t, () => OK)]
  const proxy = await startFaultProxy(t, first.port)
  const { transport, events } = openWithEjection(t, [`127.0.0.1:${proxy.port}`, second.address])
  await connected(transport, 2)
  await results(transport, 2)
  proxy.swallowOpenConnections()
  await results(transport, 2 * THRESHOLD, 100)
  t.match(events, [[`127.0.0.1:${proxy.port}`, 'ejected']])
  t.strictSame(new Set(await results(transport, 10)), new Set(['OK']))
})

t.test('a server that closes each connection at the first call is ejected: the count survives connections', async t => {
  const [flapping, good] = [await startRawPeer(), await serve(t, () => OK)]
  t.teardown(() => flapping.stop())
  void (async () => {
    for (;;) {
      const connection = await flapping.accept()
      connection.handshake().then(
        async () => {
          await connection.request().catch(() => 0)
          connection.socket.destroy()
        },
        () => {},
      )
    }
  })()
  const { transport, events } = openWithEjection(t, [flapping.address, good.address])
  await waitUntil(async () => {
    await results(transport, 1)
    return events.length > 0
  })
  t.match(events, [[flapping.address, 'ejected']])
})

t.test('what counts as a failure of a server', async t => {
  const cases: [error: StatusError, hasClientDeadline: boolean, counts: boolean][] = [
    [new PeerStatusError(Code.UNAVAILABLE, ''), false, true],
    [new PeerStatusError(Code.DEADLINE_EXCEEDED, ''), false, true],
    [new PeerStatusError(Code.DEADLINE_EXCEEDED, ''), true, false],
    [new PeerStatusError(Code.INTERNAL, ''), false, false],
    [new PeerStatusError(Code.UNKNOWN, ''), false, false],
    [new PeerStatusError(Code.RESOURCE_EXHAUSTED, ''), false, false],
    [new StatusError(Code.INTERNAL, 'reset or malformed'), false, true],
    [new StatusError(Code.UNKNOWN, 'not gRPC'), false, true],
    [new StatusError(Code.CANCELLED, ''), false, false],
    [new StatusError(Code.RESOURCE_EXHAUSTED, 'too large'), false, false],
    [new ConnectionLostError(), false, true],
    [new NotProcessedError('refused'), false, false],
  ]
  for (const [error, hasClientDeadline, counts] of cases) {
    t.equal(isServerFailure(error, hasClientDeadline), counts, `${error.name} ${Code[error.code]} ${hasClientDeadline}`)
  }
})
