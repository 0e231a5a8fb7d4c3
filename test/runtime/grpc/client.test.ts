import { getEventListeners } from 'node:events'
import { pino } from 'pino'
import t from 'tap'
import { AccountServiceClient, type AccountServiceServer, AccountServiceService } from '#proto/user/v1/account.ts'
import { callServerStream, callUnary, createClient } from '#runtime/grpc/client.ts'
import { readContract } from '#runtime/grpc/contract.ts'
import { createGrpcServer } from '#runtime/grpc/server.ts'
import { registerServerMetrics } from '#runtime/grpc/server-metrics.ts'
import { createMetrics } from '#runtime/observability/metrics.ts'
import { Code, notFound } from '#runtime/status.ts'

const server = createGrpcServer({
  contract: readContract(new URL('../../../proto/gen/contract.binpb', import.meta.url)),
  logger: pino({ level: 'silent' }),
  verifier: { verify: async () => ({ kind: 'service', service: 'test' }) },
  calls: registerServerMetrics(createMetrics()),
  dependencies: {},
})
server.add<AccountServiceServer>('user.v1.AccountService', AccountServiceService, {
  createAccount: () => new Promise(() => {}),
  async getAccount() {
    throw notFound('user')
  },
  confirmErasure: async () => ({}),
  async *watchAccountChanges(_, { signal }) {
    yield { sequence: 1n, userId: '', role: 'user', closed: false, erased: false, changedAt: undefined }
    await new Promise(resolve => signal.addEventListener('abort', resolve))
  },
})
const client = createClient(AccountServiceClient, `127.0.0.1:${await server.listen('127.0.0.1:0')}`)
t.teardown(async () => {
  client.close()
  await server.stop()
})
const id = '0190c0de-0000-7000-8000-000000000001'
const account = { id, email: 'ada@example.com', name: '', role: '' }
const token = 'x'

t.test(
  'a call ends at its deadline or when its signal is aborted, also if the signal was aborted before the call',
  async t => {
    await t.rejects(callUnary(client, client.createAccount, account, { token, timeoutMs: 50 }), {
      code: Code.DEADLINE_EXCEEDED,
    })
    const controller = new AbortController()
    const { signal } = controller
    const call = callUnary(client, client.createAccount, account, { token, signal })
    controller.abort()
    await t.rejects(call, { code: Code.CANCELLED })
    await t.rejects(callUnary(client, client.createAccount, account, { token, signal }), { code: Code.CANCELLED })
    await t.rejects(
      callServerStream(client, client.watchAccountChanges, { afterSequence: 0n }, { token, signal }).next(),
      {
        code: Code.CANCELLED,
      },
    )
  },
)

t.test('a call removes its listener from the signal when it ends', async t => {
  const { signal } = new AbortController()
  await t.rejects(callUnary(client, client.getAccount, { id }, { token, signal }), { code: Code.NOT_FOUND })
  for await (const change of callServerStream(
    client,
    client.watchAccountChanges,
    { afterSequence: 0n },
    { token, signal },
  )) {
    t.equal(change.sequence, 1n)
    break
  }
  t.equal(getEventListeners(signal, 'abort').length, 0)
})
