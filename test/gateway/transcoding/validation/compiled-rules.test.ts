/** What the rules of protovalidate cost: standard rules need no fallback, and a contract without rules loads nothing. */
import { execFileSync } from 'node:child_process'
import { type DescMessage, toBinary, toJson } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { createCompiledCodec } from '../../../../gateway/transcoding/compiled/compiled-codec.ts'
import { arbitraryMessage } from '../../../support/arbitrary-message.ts'
import { buildContract } from '../../../support/contract.ts'
import { assertProperty } from '../../../support/property.ts'
import { codecPair, testRoute } from '../compiled/codec-pair.ts'

const contract = buildContract({
  'x.proto': `
    syntax = "proto3";
    package x.v1;
    import "buf/validate/validate.proto";
    import "google/api/field_behavior.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    message Standard {
      string a = 1 [(buf.validate.field).string = { min_len: 0 max_len: 1000 not_contains: "never" }];
      optional string b = 2 [(buf.validate.field).string = { pattern: ".*" }];
      repeated int32 c = 3 [(buf.validate.field).repeated = { max_items: 100 items: { int32: { gte: -2147483648 } } }];
      map<string, string> d = 4 [(buf.validate.field).map = { max_pairs: 100 keys: { string: { max_bytes: 4000 } } }];
      double e = 5 [(buf.validate.field).double.not_in = 0.125];
      uint64 f = 6 [(buf.validate.field).uint64.gte = 0];
      bytes g = 7 [(buf.validate.field).bytes.max_len = 1000];
      google.protobuf.Duration h = 8 [(buf.validate.field).duration.gte = { seconds: -315576000000 }];
      google.protobuf.Timestamp i = 9 [(buf.validate.field).timestamp = { gt: { seconds: -99999999999 } }];
      google.protobuf.Int32Value j = 10 [(buf.validate.field).int32.lte = 2147483647];
      string k = 11 [(buf.validate.field).cel_expression = "this != 'never'"];
      string l = 12 [(google.api.field_behavior) = OUTPUT_ONLY, (buf.validate.field).string.email = true];
      string m = 13 [(google.api.field_behavior) = IMMUTABLE];
      Nested n = 14 [(buf.validate.field).ignore = IGNORE_ALWAYS];
      string o = 15 [(buf.validate.field) = { ignore: IGNORE_IF_ZERO_VALUE string: { min_len: 0 uuid: false } }];
    }
    message Nested { bool a = 1; }
    message OfMessage {
      option (buf.validate.message).cel_expression = "this.a != 'x'";
      string a = 1;
      Standard b = 2;
    }
    message OfList { repeated string a = 1 [(buf.validate.field).cel_expression = "this.size() < 3"]; }
  `,
})
const typeNamed = (name: string) => contract.getMessage(`x.v1.${name}`) as DescMessage

t.test('requests that satisfy standard rules, and CEL of a scalar, need no fallback', async t => {
  const schema = typeNamed('Standard')
  const pair = codecPair(testRoute(schema, { body: '*' }), contract)
  await assertProperty(
    t,
    fc.property(arbitraryMessage(schema), message => {
      const body = Buffer.from(JSON.stringify(toJson(schema, message)))
      pair.encode({ pathValues: [], query: '', body, cookies: {} })
    }),
    { numRuns: 200 },
  )
  const { accepted, rejected, withoutFallback } = pair.tally
  t.comment(pair.tally)
  t.ok(
    accepted > 20 && withoutFallback >= accepted * 0.9,
    `${withoutFallback} of ${accepted}, ${rejected} are rejected`,
  )
})

t.test('a codec names the messages whose rules need the whole message', async t => {
  const uncompiled = (name: string) =>
    createCompiledCodec(testRoute(typeNamed(name), { body: '*' }), contract).uncompiled
  t.same(uncompiled('Standard'), [])
  t.same(uncompiled('OfMessage'), ['every request'])
  t.same(uncompiled('OfList'), ['every request'])
})

t.test('the rules cost nothing in responses', async t => {
  const schema = typeNamed('OfList')
  const pair = codecPair(testRoute(schema, { body: '*' }), contract)
  pair.decode(toBinary(schema, { $typeName: schema.typeName, a: ['x', 'y', 'z'] } as never))
  t.same(pair.tally, { accepted: 1, rejected: 0, withoutFallback: 1 })
})

t.test('a gateway whose contracts have no rules does not load protovalidate', async t => {
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
    const { readContract, serviceOf } = await import('#runtime/grpc/contract.ts')
    const { buildRouteTable } = await import('./gateway/contract/route-table.ts')
    const { createCompiledCodec } = await import('./gateway/transcoding/compiled/compiled-codec.ts')
    const registry = readContract('proto/gen/contract.binpb')
    const service = serviceOf(registry, 'docs.v1.DocumentService')
    for (const route of buildRouteTable([{ service, upstream: 'x', registry }])) createCompiledCodec(route, registry)
    const isLoaded = loaded.some(url => /protovalidate.dist.esm.index|@bufbuild.cel./.test(url))
    process.stdout.write(String(isLoaded) + loaded.length)
  `
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  t.match(output, /^false\d{3}/)
})
