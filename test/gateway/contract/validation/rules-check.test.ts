/** Rules of protovalidate that stop the boot, with the name of the field. */
import { createFileRegistry, type FileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import t from 'tap'
import { ContractError, serviceOf } from '#runtime/grpc/contract.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { buildContract, buildImage } from '../../../support/contract.ts'

/** Returns a file of the package `x<index>.v1`. */
const source = (index: number, message: string, more: string) => `
  syntax = "proto3";
  package x${index}.v1;
  import "buf/validate/validate.proto";
  import "edge/v1/options.proto";
  import "google/api/annotations.proto";
  import "google/protobuf/struct.proto";
  import "google/protobuf/wrappers.proto";
  service S {
    rpc M(Q) returns (Q) {
      option (google.api.http) = { post: "/v1/q" body: "*" };
      option (edge.v1.policy) = { access: ACCESS_PUBLIC };
    }
    rpc N(Q) returns (Q) {
      option (google.api.http) = { put: "/v1/q" body: "*" };
      option (edge.v1.policy) = { access: ACCESS_PUBLIC };
    }
  }
  message Q { ${message} }
  ${more}`

/** Compiles one file per case. */
function buildAll(cases: readonly (readonly [message: string, more: string])[]): FileRegistry {
  return buildContract(
    Object.fromEntries(
      cases.map(([message, more], index) => [
        `x${index}.proto`,
        source(index, message.replaceAll('x.v1', `x${index}.v1`), more),
      ]),
    ),
  )
}

/** Returns the error of the boot, without its first line; undefined if there is none. */
function bootError(registry: FileRegistry, index = 0): string[] | undefined {
  try {
    buildRouteTable([{ service: serviceOf(registry, `x${index}.v1.S`), upstream: 'x', registry }])
    return undefined
  } catch (error) {
    if (!(error instanceof ContractError)) throw error
    return error.message
      .split('\n')
      .slice(1)
      .map(line => line.trim().replaceAll(`x${index}.v1`, 'x.v1'))
  }
}

const FIELD = '(buf.validate.field)'
const BAD: [message: string, errors: string[]][] = [
  [`string a = 1 [${FIELD}.int32.gt = 1];`, ['x.v1.Q.a: expected rule "string", got "int32"']],
  [`Q q = 1 [${FIELD}.string.min_len = 1];`, ['x.v1.Q.q: rule "string" cannot be used']],
  [
    `repeated string l = 1 [${FIELD}.repeated.items.string.pattern = "["];`,
    ['x.v1.Q.l: error parsing regexp: missing closing ]: `[`'],
  ],
  [
    `string a = 1 [${FIELD}.string.pattern = "(?=x)"];`,
    ['x.v1.Q.a: error parsing regexp: invalid or unsupported Perl syntax: `(?=`'],
  ],
  [
    `string a = 1 [${FIELD}.cel = { id: "c" expression: "this +" }];`,
    ['x.v1.Q.a: CEL rule "c": 1:6: found + but expecting end of input'],
  ],
  [
    `string a = 1 [${FIELD}.cel_expression = "this > 1"];`,
    [`x.v1.Q.a: found no matching overload for '_>_' applied to '(string, int)'`],
  ],
  [
    `string a = 1 [${FIELD}.cel_expression = "this.size()"];`,
    ['x.v1.Q.a: expression this.size() outputs bigint, wanted either bool or string'],
  ],
  [
    `string a = 1 [${FIELD}.cel_expression = "this == '' || isMail(this)"];`,
    [`x.v1.Q.a: CEL rule "this == '' || isMail(this)": there is no function isMail`],
  ],
  [
    `map<string, string> m = 1 [${FIELD}.map.values.cel_expression = "this == other"];`,
    ['x.v1.Q.m: CEL rule "this == other": other is not defined'],
  ],
  [
    `string a = 1; option (buf.validate.message).cel_expression = "has(this.b) || this.a == ''";`,
    [`x.v1.Q: CEL rule "has(this.b) || this.a == ''": x.v1.Q has no field b`],
  ],
  [
    `R r = 1 [${FIELD}.cel_expression = "this.list.all(i, i.nope == '')"];`,
    ['x.v1.Q.r: CEL rule "this.list.all(i, i.nope == \'\')": x.v1.R has no field list'],
  ],
  [
    `string a = 1; option (buf.validate.message).oneof = { fields: ["a", "b"] };`,
    ['x.v1.Q: field "b" not found in message x.v1.Q'],
  ],
  [
    `string a = 1 [${FIELD}.string.pattern = "("]; R r = 2;`,
    ['x.v1.Q.a: error parsing regexp: missing closing ): `(`', 'x.v1.R.n: expected rule "int32", got "int64"'],
  ],
]
const NESTED = `message R { int32 n = 1 [${FIELD}.int64.gt = 1]; }`

const bad = buildAll(BAD.map(([message, errors]) => [message, errors.length > 1 ? NESTED : 'message R {}']))

for (const [index, [message, errors]] of BAD.entries()) {
  t.test(`${message} stops the boot`, async t => {
    const [first = '', ...others] = errors
    t.same(
      bootError(bad, index),
      [`upstream x: x.v1.S/M: ${first}`, ...others],
      'with the first method that has the message',
    )
  })
}

const ENUM = 'enum Color { NONE = 0; RED = 1; }'
const UNUSED = `message Unused { string a = 1 [${FIELD}.int32.gt = 1]; }`
const GOOD = [
  `string a = 1 [${FIELD}.cel_expression = "1 / (size(this) - 0) > 0"];`,
  `google.protobuf.Int32Value w = 1; option (buf.validate.message).cel_expression = "this.w > 1";`,
  `google.protobuf.Value v = 1; option (buf.validate.message).cel_expression = "this.v > 1.0";`,
  `Q q = 1 [${FIELD}.cel_expression = "dyn(this).unknown == 1"];`,
  `repeated Q l = 1 [${FIELD}.cel_expression = "this.all(x, size(x.l) < 3)"];`,
  `string a = 1 [${FIELD}.cel_expression = "this.isEmail() && timestamp(this) < now"];`,
  `string a = 1 [${FIELD}.cel_expression = "strings.quote(this) != ''"];`,
  `Color c = 1 [${FIELD}.cel_expression = "this != x.v1.Color.RED"];`,
  `Q q = 1 [${FIELD}.cel_expression = "this == x.v1.Q{}"];`,
]

const good = buildAll([...GOOD.map(message => [message, ENUM] as const), ['string a = 1;', UNUSED]])

for (const [index, message] of GOOD.entries()) {
  t.test(`${message} does not stop the boot, although a value may make it fail`, async t => {
    t.equal(bootError(good, index), undefined)
  })
}

t.test('rules of messages that no exposed method has are not checked', async t => {
  t.equal(bootError(good, GOOD.length), undefined)
})

const image = buildImage({ 'x0.proto': source(0, 'string a = 1 [deprecated = false];', '') })

/** Returns the contract with further bytes in the options of Q.a, as another version of protovalidate writes them. */
function withOption(bytes: Uint8Array): FileRegistry {
  const files = fromBinary(FileDescriptorSetSchema, image)
  const field = files.file.find(({ name }) => name === 'x0.proto')?.messageType[0]?.field[0]
  if (field?.options) field.options.$unknown = [{ no: 1159, wireType: WireType.LengthDelimited, data: bytes }]
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, toBinary(FileDescriptorSetSchema, files)))
}

const OTHER_VERSIONS: [name: string, bytes: Uint8Array, error: RegExp][] = [
  // `skipped` and `ignore_empty` of version 0.
  [
    'an unknown rule',
    new BinaryWriter().bytes(new BinaryWriter().tag(24, 0).bool(true).finish()).finish(),
    /field 24 of buf\.validate\.field/,
  ],
  [
    'an unknown value of ignore',
    new BinaryWriter().bytes(new BinaryWriter().tag(27, 0).int32(2).finish()).finish(),
    /field 27 of buf\.validate\.field/,
  ],
]

for (const [name, bytes, error] of OTHER_VERSIONS) {
  t.test(`${name}, as another version of protovalidate writes it, stops the boot and is not ignored`, async t => {
    t.match(bootError(withOption(bytes)), [
      /^upstream x: x\.v1\.S\/M: x\.v1\.Q\.a: a rule of another version of protovalidate/,
    ])
    t.match(bootError(withOption(bytes)), [error])
  })
}
