/** Clients that are gone before it is decided what becomes of their request. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { create, type DescMessage } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import type { Buckets } from '../../../gateway/edge/limits/buckets.ts'
import { limitsSchema } from '../../../gateway/edge/limits/limit-classes.ts'
import { createLocalBuckets } from '../../../gateway/edge/limits/local-buckets.ts'
import { buildContract } from '../../support/contract.ts'
import { startTestGateway } from '../../support/test-gateway.ts'
import { until } from '../../support/until.ts'

const contract = buildContract({
  'news.proto': `
    syntax = "proto3";
    package news.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    message Message {}
    service NewsService {
      rpc Read(Message) returns (Message) {
        option (google.api.http) = { get: "/read" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Follow(Message) returns (stream Message) {
        option (google.api.http) = { get: "/follow" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc Own(Message) returns (Message) {
        option (google.api.http) = { get: "/own" };
        option (edge.v1.policy) = { access: ACCESS_USER };
      }
    }`,
})

const settings = limitsSchema.parse({
  classes: { user: { capacity: 100, refill: '1 / 1s' }, anonymous: { capacity: 100, refill: '1 / 1s' } },
})

// Of pino.
const INFO = 30

/** A gateway whose limits and keys are waited for until the test lets go of them. */
async function startWaiting(t: Test) {
  const Message = contract.getMessage('news.v1.Message') as DescMessage
  const held = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const local = createLocalBuckets()
  const buckets: Buckets = {
    operation: undefined,
    take(key, charge, decided) {
      asked.resolve()
      void held.promise.then(() => local.take(key, charge, decided))
    },
  }
  let calls = 0
  const gateway = await startTestGateway(t, {
    contract,
    service: 'news.v1.NewsService',
    answer: () => {
      calls++
      return create(Message)
    },
    limits: { settings, buckets },
  })
  gateway.mint.keys.find = async () => {
    asked.resolve()
    await held.promise
    return undefined
  }

  /** Sends a request, leaves, and has it decided then, and that of somebody else. @returns its line in the log. */
  async function askAndLeave(path: string, headers = '') {
    const accepted = once(gateway.app.server, 'connection')
    const socket = connect(gateway.port, '127.0.0.1')
    const [served] = await accepted
    socket.write(`GET ${path} HTTP/1.1\r\nhost: news.example\r\n${headers}\r\n`)
    await asked.promise
    const left = new Promise(resolve => served.once('close', resolve))
    socket.resetAndDestroy()
    await left
    const line = () => gateway.state.lines.find(({ msg }) => msg === 'request')
    await until(
      async () => line(),
      found => found !== undefined,
    )
    held.resolve()
    // By its answer all is over.
    t.equal((await gateway.call('/read')).status, 200)
    return line()
  }
  const complaints = () => gateway.state.lines.filter(({ level }) => Number(level) > INFO)
  return { gateway, askAndLeave, complaints, calls: () => calls }
}

t.test('who leaves before a call is begun costs the upstream nothing', async t => {
  const { askAndLeave, complaints, calls } = await startWaiting(t)
  t.match(await askAndLeave('/read'), { status: 499, aborted: true })
  t.equal(calls(), 1, 'of somebody else')
  t.same(complaints(), [])
})

t.test('who leaves before a stream is opened leaves none open', async t => {
  const { askAndLeave, complaints, calls, gateway } = await startWaiting(t)
  t.match(await askAndLeave('/follow'), { status: 499, aborted: true })
  t.equal(calls(), 1, 'of somebody else')
  t.equal(gateway.streams.size, 0)
  t.same(complaints(), [])
})

t.test('who leaves before a token is refused, and so has no address any more, is no fault of ours', async t => {
  const { askAndLeave, complaints, gateway } = await startWaiting(t)
  const [header = '', ...rest] = gateway.mint.access({}).split('.')
  const strange = JSON.parse(Buffer.from(header, 'base64url').toString())
  const other = Buffer.from(JSON.stringify({ ...strange, kid: 'another' })).toString('base64url')
  const line = await askAndLeave('/own', `authorization: Bearer ${[other, ...rest].join('.')}\r\n`)
  t.match(line, { status: 499, aborted: true })
  t.same(complaints(), [])
})
