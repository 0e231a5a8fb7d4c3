import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { acceptTrace } from '#runtime/observability/telemetry.ts'
import { callMetadata } from '../../../gateway/upstream/call-metadata.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

function metadataOf(ip: string | undefined) {
  const socket = { remoteAddress: ip && '198.51.100.1' }
  const request = { ip, socket, headers: {}, trace: acceptTrace(undefined, undefined, 0) } as unknown as FastifyRequest
  return callMetadata(request, TRACEPARENT)
}

t.test('the address of a client that is gone is left out, since its socket has none', async t => {
  t.same(metadataOf('203.0.113.7'), {
    traceparent: TRACEPARENT,
    'gatehouse-client-address': '203.0.113.7',
    'gatehouse-client-user-agent': '',
  })
  t.notOk('gatehouse-client-address' in metadataOf(undefined))
})

t.test('what a proxy passes on as an address goes on where it is one, and the address of the proxy else', async t => {
  const addressFor = (ip: string) => metadataOf(ip)['gatehouse-client-address']
  t.equal(addressFor('::ffff:203.0.113.7'), '203.0.113.7')
  t.equal(addressFor('2001:db8::1'), '2001:db8::1')
  for (const none of ['\u00e9', '203.0.113.7:80', '[2001:db8::1]:443', 'x'.repeat(9000)]) {
    t.equal(addressFor(none), '198.51.100.1', none.slice(0, 20))
  }
})
