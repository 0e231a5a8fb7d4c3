import type { ServiceError } from '@grpc/grpc-js'
import fc from 'fast-check'
import t from 'tap'
import { Code, fromGrpcError, StatusError, toGrpcError } from '#runtime/status.ts'

t.test('a StatusError survives the conversion to a gRPC error and back', async t => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 16 }),
      fc.string(),
      fc.record({
        reason: fc.option(fc.stringMatching(/^[a-z_]+$/), { nil: undefined }),
        violations: fc.array(fc.record({ field: fc.string(), description: fc.string() }), { maxLength: 3 }),
        retryAfterMs: fc.option(fc.integer({ min: 0, max: 10_000_000 }), { nil: undefined }),
      }),
      (code, message, details) => {
        const sent = new StatusError(code, message, details)
        const received = fromGrpcError({ name: 'Error', message: '', ...toGrpcError(sent) } as ServiceError)
        t.match({ ...received }, { code, ...details })
        t.same(received.violations, details.violations)
        t.equal(received.message, message)
      },
    ),
  )
})

t.test('an error that is not a StatusError becomes INTERNAL without its message', async t => {
  const { code, details, metadata } = toGrpcError(new Error('password=hunter2'))
  t.equal(code, Code.INTERNAL)
  t.notMatch(JSON.stringify([details, metadata.getMap()]), 'hunter2')
})

t.test('malformed error details are ignored, code and message are kept', async t => {
  const { metadata, ...error } = toGrpcError(new StatusError(Code.NOT_FOUND, 'x', { reason: 'y' }))
  metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff, 0xff]))
  t.match(fromGrpcError({ ...error, metadata } as ServiceError), {
    code: Code.NOT_FOUND,
    message: 'x',
    reason: undefined,
  })
})
