import type { FastifyRequest } from 'fastify'
import t from 'tap'
import { acceptTrace } from '#runtime/telemetry.ts'
import { callMetadata } from '../../../gateway/edge/call-metadata.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

function metadataOf(ip: string | undefined) {
  const request = { ip, headers: {}, trace: acceptTrace(undefined, undefined, 0) } as unknown as FastifyRequest
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
