import { once } from 'node:events'
import { create, type DescMessage } from '@bufbuild/protobuf'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { Cancellation } from '../../../gateway/upstream/cancellation.ts'
import { deadlineIn } from '../../../gateway/upstream/deadline.ts'
import { createStreamTransport } from '../../../gateway/upstream/grpc-js/stream-transport.ts'
import { buildContract } from '../../support/contract.ts'
import { startUpstream } from '../../support/echo-upstream.ts'
import { startFaultProxy } from '../../support/fault-proxy.ts'
import { until } from '../../support/until.ts'

const contract = buildContract({
  'feed/v1/feed.proto': `
    syntax = "proto3";
    package feed.v1;
    service FeedService { rpc Follow(FollowRequest) returns (stream Entry); }
    message FollowRequest { bool brief = 1; }
    message Entry { bytes text = 1; }
  `,
})
const Entry = contract.getMessage('feed.v1.Entry') as DescMessage
const entry = () => create(Entry, { text: new Uint8Array(32_768) } as Record<string, unknown>)
/** FollowRequest {brief: true}. */
const BRIEF = Uint8Array.of(8, 1)

t.test('unread streams do not stop another stream, and each connection ends with its stream', async t => {
  const upstream = await startUpstream([serviceOf(contract, 'feed.v1.FeedService')], async function* (call) {
    if ((call.message as unknown as { brief: boolean }).brief) yield entry()
    else while (!call.signal.aborted) yield entry()
  })
  t.teardown(() => upstream.close())
  const proxy = await startFaultProxy(t, Number(upstream.address.split(':')[1]))
  const transport = createStreamTransport({ address: `127.0.0.1:${proxy.port}`, maxMessageLength: 1_000_000 })
  t.teardown(() => transport.close())
  const open = (message = new Uint8Array()) =>
    transport.open('/feed.v1.FeedService/Follow', message, {}, deadlineIn(60_000), new Cancellation())

  const unread = Array.from({ length: 10 }, () => open())
  for (const stream of unread) t.notOk((await stream.next()).done)
  t.equal(transport.size, 10)
  t.equal(proxy.accepted, 10, 'each has its own flow-control window')

  let messages = 0
  for await (const _ of open(BRIEF)) messages++
  t.equal(messages, 1)

  for (const stream of unread) await stream.return()
  t.equal(transport.size, 0)
  await until(
    async () => proxy.open,
    count => count === 0,
  )
  t.equal(proxy.accepted, 11)
})

t.test('a transport that is closed ends its streams', async t => {
  const upstream = await startUpstream([serviceOf(contract, 'feed.v1.FeedService')], async function* (call) {
    yield entry()
    await once(call.signal, 'abort')
  })
  t.teardown(() => upstream.close())
  const transport = createStreamTransport({ address: upstream.address, maxMessageLength: 1_000_000 })
  const stream = transport.open(
    '/feed.v1.FeedService/Follow',
    new Uint8Array(),
    {},
    deadlineIn(60_000),
    new Cancellation(),
  )
  await stream.next()
  transport.close()
  await stream.return()
  t.equal(transport.size, 0)
})
