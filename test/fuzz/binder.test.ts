/** Random contracts and requests: the binder accepts a request with all of its values, or rejects it with a violation. */
import { ok } from 'node:assert/strict'
import { create, type DescMessage, fromBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { PolicySchema } from '#proto/edge/v1/options_pb.js'
import { HttpRuleSchema } from '#proto/google/api/http_pb.js'
import { AccessLevel, cookieOf, serviceOf } from '#runtime/grpc/contract.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { buildRouteTable } from '../../gateway/contract/route-table.ts'
import { arbitraryRequest } from '../gateway/transcoding/compiled/arbitrary-request.ts'
import { arbitraryTypes, type TypesSpec } from '../gateway/transcoding/compiled/arbitrary-types.ts'
import { buildDescriptors } from '../gateway/transcoding/compiled/build-descriptors.ts'
import { testRoute } from '../gateway/transcoding/compiled/codec-pair.ts'
import { createComparingCodec } from '../gateway/transcoding/compiled/comparing-codec.ts'
import { buildContract } from '../support/contract.ts'
import { assertNothingDropped } from './bound-values.ts'
import { fuzz } from './fuzz.ts'
import { startFuzzGateway } from './fuzz-gateway.ts'

t.test('a random request is bound with each of its values, or rejected as an invalid argument', async t => {
  const counts = { accepted: 0, rejected: 0, values: 0 }
  const cases = arbitraryTypes()
    .map(withoutRequired)
    .chain(spec => {
      const schema = buildDescriptors(spec).getMessage('t.v1.T0') as DescMessage
      const fields = schema.fields.filter(field => cookieOf(field) === undefined)
      const names = fields.map(({ name }) => name)
      const scalars = fields.filter(({ fieldKind }) => fieldKind === 'scalar' || fieldKind === 'enum')
      const parts = fc
        .record({
          variables: fc.subarray(scalars.map(({ name }) => name).slice(0, 2)),
          body: fc.constantFrom('*', '*', undefined, undefined, ...names),
        })
        .filter(({ variables, body }) => !variables.includes(body ?? ''))
      return fc.tuple(parts, fc.constantFrom(0, 1, 5, 30)).chain(([route, faultPercent]) =>
        fc.record({
          spec: fc.constant(spec),
          route: fc.constant(route),
          requests: fc.array(arbitraryRequest(testRoute(schema, route), faultPercent), {
            minLength: 1,
            maxLength: 30,
            size: 'max',
          }),
        }),
      )
    })
  const property = fc.property(cases, ({ spec, route: parts, requests }) => {
    const registry = buildDescriptors(spec)
    const route = testRoute(registry.getMessage('t.v1.T0') as DescMessage, parts)
    const codec = createComparingCodec(route, registry)
    for (const request of requests) {
      let bytes: Uint8Array
      try {
        bytes = codec.encode(request)
      } catch (error) {
        ok(error instanceof StatusError && error.code === Code.INVALID_ARGUMENT, String((error as Error).stack))
        counts.rejected++
        continue
      }
      counts.accepted++
      const message = fromBinary(route.descriptor.input, bytes)
      counts.values += assertNothingDropped(route, request, message, registry)
    }
  })
  await fuzz(t, property, 60)
  t.comment(counts)
  t.ok(counts.accepted > 50 && counts.rejected > 50 && counts.values > 50)
})

/** A single value of a message with required fields is no message. */
function withoutRequired(spec: TypesSpec): TypesSpec {
  const types = spec.types.map(fields =>
    fields.map(field => (field.label === 'required' ? { ...field, label: 'optional' as const } : field)),
  )
  return { ...spec, types }
}

t.test('no random HTTP request is a 5xx response', async t => {
  const contract = buildContract({
    'fuzz.proto': `
      syntax = "proto3";
      package fuzz.v1;
      import "google/protobuf/any.proto";
      import "google/protobuf/duration.proto";
      import "google/protobuf/field_mask.proto";
      import "google/protobuf/struct.proto";
      import "google/protobuf/timestamp.proto";
      import "google/protobuf/wrappers.proto";
      message Small { string id = 1; repeated int32 numbers = 2; bool on = 3; }
      enum Color { NONE = 0; RED = 1; }
      message Thing {
        string id = 1; int64 count = 2; bool on = 3; double size = 4; bytes data = 5; Color color = 6;
        repeated string tags = 7; map<string, int32> ranks = 8; Small inner = 9; optional uint32 small = 10;
        oneof choice { string left = 11; Small right = 12; }
        google.protobuf.Timestamp time = 13; google.protobuf.Duration span = 14; google.protobuf.FieldMask mask = 15;
        google.protobuf.Struct any_json = 16; google.protobuf.Any any = 17; google.protobuf.StringValue name = 18;
        repeated Small list = 19; google.protobuf.Value value = 20;
      }
      service Fuzz {
        rpc Get(Thing) returns (Thing);
        rpc Create(Thing) returns (Thing);
        rpc Update(Thing) returns (Thing);
        rpc Count(Thing) returns (Thing);
      }
    `,
  })
  const rules = {
    Get: create(HttpRuleSchema, { pattern: { case: 'get', value: '/things/{id}' } }),
    Create: create(HttpRuleSchema, { pattern: { case: 'post', value: '/things' }, body: '*' }),
    Update: create(HttpRuleSchema, { pattern: { case: 'patch', value: '/things/{id}' }, body: 'inner' }),
    Count: create(HttpRuleSchema, { pattern: { case: 'put', value: '/counts/{count}/{color}' }, body: 'list' }),
  }
  const policy = create(PolicySchema, { access: AccessLevel.PUBLIC })
  const service = serviceOf(contract, 'fuzz.v1.Fuzz')
  const routes = buildRouteTable([
    { service, upstream: 'fuzz', exposure: ({ name }) => ({ policy, rule: rules[name as keyof typeof rules] }) },
  ])
  const gateway = await startFuzzGateway(t)
  await gateway.serve(routes, contract)

  const requests = fc.oneof(
    ...routes.flatMap(route =>
      [0, 0, 5, 30].map(faults =>
        fc.record({
          route: fc.constant(route),
          input: arbitraryRequest(route, faults),
          junk: mostly('', fc.string({ unit: 'binary-ascii', maxLength: 8 })),
          media: mostly('application/json', fc.constantFrom('', 'text/plain', 'application/json; charset=latin1', 'a')),
          coding: mostly(undefined, fc.constantFrom('gzip', 'br', 'identity', 'x')),
        }),
      ),
    ),
  )
  const statuses: Record<string, number> = {}
  const property = fc.asyncProperty(requests, async ({ route, input, junk, media, coding }) => {
    const path = route.template.source.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
      const index = route.template.variables.findIndex(({ fieldPath }) => fieldPath[0] === name)
      return encodeURIComponent((input.pathValues[index] ?? '').toWellFormed())
    })
    const query = input.query === '' && junk === '' ? '' : `?${encodeURI(junk)}&${input.query}`
    const { status, body } = await gateway.send({
      method: route.httpMethod,
      target: `${path}${query}`.replace(/[^\x21-\x7e]/g, ''),
      headers: { 'content-type': media, ...(coding && { 'content-encoding': coding }) },
      body: input.body,
    })
    statuses[status] = (statuses[status] ?? 0) + 1
    ok(status < 500, `${status} ${body}`)
    if (status !== 200) ok(JSON.parse(body).code, body)
  })
  await fuzz(t, property, 500)
  t.comment(statuses)
  for (const status of ['200', '400', '415']) t.ok((statuses[status] ?? 0) > 0, `some responses are ${status}`)
})

/** A usual value, and others in one of 15 cases. */
function mostly<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 14, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })
}
