/** Retries of the http2 transport, by gRPC A6, with servers that fail in each way. */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { callPolicy } from '../../../../gateway/upstream/call-policy.ts'
import { Cancellation } from '../../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../../gateway/upstream/deadline.ts'
import {
  CallRetries,
  parsePushback,
  type RetryOptions,
  type RetryOutcome,
} from '../../../../gateway/upstream/http2/retry-policy.ts'
import { createHttp2Transport } from '../../../../gateway/upstream/http2/transport.ts'
import { RetryBudget } from '../../../../gateway/upstream/retry-budget.ts'
import { Code } from '../../../../runtime/status.ts'
import { echo, rejectionOf, waitUntil } from '../../../support/grpc-peers/peer-calls.ts'
import {
  END_HEADERS,
  frame,
  GOAWAY,
  HEADERS,
  type RawConnection,
  RESPONSE_HEADERS,
  RST_STREAM,
  response,
  SIZE_UPDATE,
  startRawPeer,
  uint32,
} from '../../../support/grpc-peers/raw-peer.ts'
import { type Scripted, startScriptedPeer } from '../../../support/grpc-peers/scripted-peer.ts'

const IDEMPOTENT = callPolicy(true, false)
const OK = Buffer.from('ok')
const UNAVAILABLE = { code: Code.UNAVAILABLE }
const [REFUSED_STREAM, INTERNAL_ERROR] = [7, 2]

function openWithRetries(t: Test, address: string, options: Partial<RetryOptions> = {}) {
  const outcomes: RetryOutcome[] = []
  const budget = new RetryBudget({ maxTokens: 100, tokenRatio: 0.2 })
  const retries = { maxAttempts: 3, initialBackoffMs: 2, maxBackoffMs: 5, budget, ...options }
  const onRetry = (outcome: RetryOutcome) => void outcomes.push(outcome)
  const transport = createHttp2Transport({ address, maxMessageLength: 1000, retries, onRetry })
  t.teardown(() => transport.close())
  return { transport, outcomes }
}

/** A server of grpc-js whose n-th call has the n-th response; the last one is repeated. */
async function startScript(t: Test, script: readonly Scripted[]) {
  const peer = await startScriptedPeer((_call, attempt) => script[Math.min(attempt, script.length) - 1])
  t.teardown(() => peer.stop())
  return peer
}

const SCRIPTS: {
  name: string
  script: Scripted[]
  idempotent?: boolean
  /** Undefined: the call succeeds. */
  code?: Code
  outcomes: RetryOutcome[]
}[] = [
  { name: 'a call that succeeds at once has one attempt', script: [OK], outcomes: [] },
  { name: 'an idempotent call is repeated after UNAVAILABLE', script: [UNAVAILABLE, OK], outcomes: ['sent'] },
  {
    name: 'an idempotent call has at most three attempts',
    script: [UNAVAILABLE],
    code: Code.UNAVAILABLE,
    outcomes: ['sent', 'sent', 'exhausted'],
  },
  {
    name: 'a call that is not idempotent has one attempt',
    script: [UNAVAILABLE, OK],
    idempotent: false,
    code: Code.UNAVAILABLE,
    outcomes: [],
  },
  {
    name: 'a pushback is honoured: after 0 ms',
    script: [{ ...UNAVAILABLE, pushback: '0' }, OK],
    outcomes: ['sent'],
  },
  ...['-1', '-100', 'soon', '01', '1.5', '99999999999'].map(pushback => ({
    name: `a pushback of ${pushback} forbids a retry`,
    script: [{ ...UNAVAILABLE, pushback }, OK],
    code: Code.UNAVAILABLE,
    outcomes: ['refused' as const],
  })),
  {
    name: 'a pushback beyond the deadline ends the call at once',
    script: [{ ...UNAVAILABLE, pushback: '60000' }, OK],
    code: Code.UNAVAILABLE,
    outcomes: ['late'],
  },
  ...[Code.INTERNAL, Code.ABORTED, Code.NOT_FOUND, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED].map(code => ({
    name: `${Code[code]} is not repeated`,
    script: [{ code }, OK],
    code,
    outcomes: [],
  })),
]

for (const { name, script, idempotent = true, code, outcomes } of SCRIPTS) {
  t.test(name, async t => {
    const peer = await startScript(t, script)
    const { transport, outcomes: seen } = openWithRetries(t, peer.address)
    const call = echo(transport, { policy: callPolicy(idempotent, false) })
    if (code === undefined) t.ok(OK.equals(await call))
    else t.equal((await rejectionOf(call)).code, code)
    t.strictSame(seen, outcomes)
    const attempts = 1 + outcomes.filter(outcome => outcome === 'sent').length
    t.strictSame(
      peer.received.map(metadata => metadata['grpc-previous-rpc-attempts']),
      [undefined, '1', '2'].slice(0, attempts),
      'each retry says how many attempts preceded it',
    )
  })
}

t.test('a pushback delays the retry by its time', async t => {
  const times: number[] = []
  const peer = await startScriptedPeer((_call, attempt) => {
    times.push(performance.now())
    return attempt === 1 ? { ...UNAVAILABLE, pushback: '120' } : OK
  })
  t.teardown(() => peer.stop())
  const { transport } = openWithRetries(t, peer.address)
  await echo(transport, { policy: IDEMPOTENT })
  t.ok((times[1] ?? 0) - (times[0] ?? 0) >= 119)
})

t.test('a call whose response began is not repeated', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const { transport, outcomes } = openWithRetries(t, peer.address)
  const failure = rejectionOf(echo(transport, { policy: IDEMPOTENT }))
  const connection = await peer.accept()
  await connection.handshake()
  const id = await connection.request()
  connection.send(frame(HEADERS, END_HEADERS, id, Buffer.concat([SIZE_UPDATE, RESPONSE_HEADERS])))
  connection.socket.end()
  t.equal((await failure).code, Code.UNAVAILABLE)
  t.strictSame(outcomes, [])
})

/** Serves a raw connection: `onRequest` gets the id of each stream. */
async function serveRaw(connection: RawConnection, onRequest: (id: number) => void): Promise<void> {
  await connection.handshake()
  try {
    for (;;) onRequest(await connection.request())
  } catch {
    // The connection is closed.
  }
}

t.test('a refused stream is repeated for any method: twice at once, then by policy', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const { transport, outcomes } = openWithRetries(t, peer.address)
  const call = echo(transport)
  let requests = 0
  const connection = await peer.accept()
  void serveRaw(connection, id => {
    requests++
    if (requests < 4) connection.send(frame(RST_STREAM, 0, id, uint32(REFUSED_STREAM)))
    else connection.send(response(id, 'ok'))
  })
  t.ok(OK.equals(await call))
  t.strictSame(outcomes, ['transparent', 'transparent', 'sent'])
})

t.test('a stream that the server resets with another code is not repeated', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const { transport, outcomes } = openWithRetries(t, peer.address)
  const failure = rejectionOf(echo(transport, { policy: IDEMPOTENT }))
  const connection = await peer.accept()
  void serveRaw(connection, id => connection.send(frame(RST_STREAM, 0, id, uint32(INTERNAL_ERROR))))
  t.equal((await failure).code, Code.INTERNAL)
  t.strictSame(outcomes, [])
})

t.test('a call that a GOAWAY leaves out is repeated for any method, on a new connection', async t => {
  const peer = await startRawPeer()
  t.teardown(() => peer.stop())
  const { transport, outcomes } = openWithRetries(t, peer.address)
  const call = echo(transport)
  const first = await peer.accept()
  await first.handshake()
  await first.request()
  first.send(frame(GOAWAY, 0, 0, uint32(0, 0)))
  const second = await peer.accept()
  void serveRaw(second, id => second.send(response(id, 'ok')))
  t.ok(OK.equals(await call))
  t.strictSame(outcomes, ['transparent'])
})

for (const idempotent of [true, false]) {
  t.test(
    `a reset connection: ${idempotent ? 'an idempotent call goes to another address' : 'others fail'}`,
    async t => {
      const [broken, working] = [await startRawPeer(), await startRawPeer()]
      t.teardown(() => {
        broken.stop()
        working.stop()
      })
      const { transport, outcomes } = openWithRetries(t, `${broken.address},${working.address}`)
      const [bad, good] = [await broken.accept(), await working.accept()]
      void serveRaw(bad, () => bad.socket.resetAndDestroy())
      void serveRaw(good, id =>
        good.send(response(id, 'ok', good.frames.filter(({ type }) => type === HEADERS).length === 1)),
      )
      await waitUntil(() => transport.state().connections === 2)
      const calls = await Promise.allSettled(
        [1, 2].map(() => echo(transport, { policy: callPolicy(idempotent, false) })),
      )
      const failed = calls.filter(({ status }) => status === 'rejected')
      t.equal(failed.length, idempotent ? 0 : 1)
      t.strictSame(outcomes, idempotent ? ['sent'] : [])
    },
  )
}

t.test('a refused connection fails calls at once, without a retry', async t => {
  const peer = await startRawPeer()
  peer.stop()
  const { transport, outcomes } = openWithRetries(t, peer.address)
  const error = await rejectionOf(echo(transport, { policy: IDEMPOTENT }))
  t.match(error, { code: Code.UNAVAILABLE, name: 'NotProcessedError' })
  t.strictSame(outcomes, [])
})

t.test('a call that is cancelled during the backoff is not repeated', async t => {
  const peer = await startScript(t, [{ ...UNAVAILABLE, pushback: '5000' }, OK])
  const { transport, outcomes } = openWithRetries(t, peer.address)
  const cancellation = new Cancellation()
  const failure = rejectionOf(echo(transport, { policy: IDEMPOTENT, cancellation }))
  await waitUntil(() => outcomes.length === 1)
  cancellation.cancel()
  t.equal((await failure).code, Code.CANCELLED)
  t.same([outcomes, peer.received.length, transport.state().calls], [['sent'], 1, 0])
})

t.test('a call ends at its deadline during a retry, with DEADLINE_EXCEEDED', async t => {
  const peer = await startScript(t, [UNAVAILABLE, undefined])
  const { transport } = openWithRetries(t, peer.address)
  const error = await rejectionOf(echo(transport, { policy: IDEMPOTENT, deadline: deadlineIn(300) }))
  t.equal(error.code, Code.DEADLINE_EXCEEDED)
  t.equal(peer.received.length, 2)
})

t.test('a server that fails all calls gets no more retries than the budget has', async t => {
  const peer = await startScript(t, [UNAVAILABLE])
  const budget = new RetryBudget({ maxTokens: 10, tokenRatio: 0.2 })
  const { transport, outcomes } = openWithRetries(t, peer.address, { budget })
  for (let call = 0; call < 50; call++) await rejectionOf(echo(transport, { policy: IDEMPOTENT }))
  const retries = peer.received.length - 50
  t.ok(retries >= 1 && retries <= 5, `${retries} retries`)
  t.equal(outcomes.at(-1), 'throttled')
})

t.test('the budget: retries never exceed half of the tokens plus the ratio of the successful calls', async t => {
  const options = fc.record({
    maxTokens: fc.integer({ min: 1, max: 50 }),
    tokenRatio: fc.constantFrom(0.001, 0.2, 0.5, 1),
  })
  fc.assert(
    fc.property(options, fc.array(fc.boolean(), { maxLength: 500 }), ({ maxTokens, tokenRatio }, attempts) => {
      const budget = new RetryBudget({ maxTokens, tokenRatio })
      let [retries, successes] = [0, 0]
      for (const succeeds of attempts) {
        if (succeeds) {
          successes++
          budget.recordSuccess()
        } else if (budget.recordFailure()) retries++
        t.ok(retries <= maxTokens / 2 + tokenRatio * successes + 1e-6)
      }
    }),
    { numRuns: 50 },
  )
})

t.test('a changed budget keeps the tokens that are left, up to its maximum', async t => {
  const budget = new RetryBudget({ maxTokens: 100, tokenRatio: 1 })
  budget.configure({ maxTokens: 4, tokenRatio: 1 })
  t.equal(budget.recordFailure(), true)
  t.equal(budget.recordFailure(), false)
})

t.test('the backoff doubles up to its maximum, and starts again after a pushback', async t => {
  const budget = new RetryBudget({ maxTokens: 1000, tokenRatio: 1 })
  const options = { maxAttempts: 10, initialBackoffMs: 100, maxBackoffMs: 300, budget }
  const retries = new CallRetries()
  const next = (pushback?: number) => retries.next(options, pushback, deadlineIn(60_000), () => 0.5)
  t.strictSame([next(), next(), next(), next(7), next()], [50, 100, 150, 7, 50])
})

t.test('grpc-retry-pushback-ms is a signed 32-bit integer; anything else is a refusal', async t => {
  const cases: [text: string, ms: number][] = [
    ['0', 0],
    ['25', 25],
    ['2147483647', 2_147_483_647],
    ['2147483648', -1],
    ['-5', -1],
    ['', -1],
    ['05', -1],
    ['+5', -1],
    ['5, 5', -1],
  ]
  for (const [text, ms] of cases) t.equal(parsePushback(text), ms, JSON.stringify(text))
})
