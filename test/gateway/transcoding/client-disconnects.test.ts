/** Clients that disconnect while the policy checks of their request are still running. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { create } from '@bufbuild/protobuf'
import t, { type Test } from 'tap'
import type { Buckets } from '../../../gateway/edge/limits/buckets.ts'
import { limitsSchema } from '../../../gateway/edge/limits/limit-classes.ts'
import { createLocalBuckets } from '../../../gateway/edge/limits/local-buckets.ts'
import { buildService, methodSource } from '../../support/service-contract.ts'
import { until } from '../../support/until.ts'

const service = buildService('news.v1.NewsService', {
  methods: [
    methodSource('Read', '(Message) returns (Message)', 'get: "/read"'),
    methodSource('Follow', '(Message) returns (stream Message)', 'get: "/follow"'),
    methodSource('User', '(Message) returns (Message)', 'get: "/user"', 'access: ACCESS_USER'),
  ],
  messages: 'message Message {}',
})

const settings = limitsSchema.parse({
  classes: { user: { capacity: 100, refill: '1 / 1s' }, anonymous: { capacity: 100, refill: '1 / 1s' } },
})

const PINO_INFO = 30

/** Starts a gateway whose rate limits and key look-ups wait until the client has disconnected. */
async function startHeldGateway(t: Test) {
  const released = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  const local = createLocalBuckets()
  const buckets: Buckets = {
    operation: undefined,
    charge(key, charge, onOutcome) {
      reached.resolve()
      void released.promise.then(() => local.charge(key, charge, onOutcome))
    },
  }
  let calls = 0
  const respond = () => {
    calls++
    return create(service.message('Message'))
  }
  const gateway = await service.start(t, respond, { limits: { settings, buckets } })
  gateway.mint.keys.find = async () => {
    reached.resolve()
    await released.promise
    return undefined
  }

  /**
   * Sends a request, disconnects while it is checked, then lets the checks finish and sends a second request to `/read`.
   * @returns the access-log line of the first request.
   */
  async function requestAndDisconnect(path: string, headers = '') {
    const accepted = once(gateway.server, 'connection')
    const socket = connect(gateway.port, '127.0.0.1')
    const [served] = await accepted
    socket.write(`GET ${path} HTTP/1.1\r\nhost: news.example\r\n${headers}\r\n`)
    await reached.promise
    const disconnected = new Promise(resolve => served.once('close', resolve))
    socket.resetAndDestroy()
    await disconnected
    const line = () => gateway.state.lines.find(({ msg }) => msg === 'request')
    await until(
      async () => line(),
      found => found !== undefined,
    )
    released.resolve()
    // When the second request has its response, the first is complete.
    t.equal((await gateway.call('/read')).status, 200)
    return line()
  }
  const warnings = () => gateway.state.lines.filter(({ level }) => Number(level) > PINO_INFO)
  return { gateway, requestAndDisconnect, warnings, calls: () => calls }
}

t.test('a client that disconnects before admission triggers no upstream call', async t => {
  const { requestAndDisconnect, warnings, calls } = await startHeldGateway(t)
  t.match(await requestAndDisconnect('/read'), { status: 499, aborted: true })
  t.equal(calls(), 1, 'the second request only')
  t.same(warnings(), [])
})

t.test('a client that disconnects before admission leaves no stream open', async t => {
  const { requestAndDisconnect, warnings, calls, gateway } = await startHeldGateway(t)
  t.match(await requestAndDisconnect('/follow'), { status: 499, aborted: true })
  t.equal(calls(), 1, 'the second request only')
  t.equal(gateway.streams.size, 0)
  t.same(warnings(), [])
})

t.test('a client that disconnects before its token is rejected, and so has no address, causes no warning', async t => {
  const { requestAndDisconnect, warnings, gateway } = await startHeldGateway(t)
  const [header = '', ...rest] = gateway.mint.access({}).split('.')
  const fields = JSON.parse(Buffer.from(header, 'base64url').toString())
  const unknownKey = Buffer.from(JSON.stringify({ ...fields, kid: 'another' })).toString('base64url')
  const line = await requestAndDisconnect('/user', `authorization: Bearer ${[unknownKey, ...rest].join('.')}\r\n`)
  t.match(line, { status: 499, aborted: true })
  t.same(warnings(), [])
})
