/** Messages on the wire that are difficult to decode correctly. */
import type { DescField } from '@bufbuild/protobuf'
import { type Bytes, delimited, padded, tag, varint } from './arbitrary-wire.ts'
import { eachField } from './edge-case-contract.ts'

/** A message on the wire, by the name of its type. */
export interface MessageCase {
  readonly type: string
  readonly message: Bytes
}

const hex = ({ raw }: TemplateStringsArray): readonly Bytes[] =>
  raw[0]?.match(/\w+/g)?.map(digits => [...Buffer.from(digits, 'hex')]) ?? []
const utf8 = (text: string): Bytes => [...Buffer.from(text)]
const integer = (field: number, value: bigint): Bytes => [...tag(field, 0), ...varint(value)]
const double = (field: number, value: number): Bytes => [
  ...tag(field, 1),
  ...Buffer.from(new Float64Array([value]).buffer),
]
const record = (field: number, ...content: readonly Bytes[]): Bytes => [...tag(field, 2), ...delimited(content.flat())]
const entry = (value: Bytes): Bytes => [...record(1, utf8('k')), ...record(2, value)]

// Varints, some of them cut or longer than necessary; then floats and doubles, the last of them cut.
const VALUES = hex`00 01 80 8000 ffffffff07 ffffffff0f ffffffff7f ffffffffffffffffff01 ffffffffffffffffff7f
  80808080808080808002 8080808080808080808000 0000c07f 00000080 000000000000f07f 0000000000000080 00000000000000`
// The last four are long enough to be checked four bytes at a time.
const TEXTS = hex`ff 41ff c080 eda080 f4908080 c3 efbfbd efbbbf41 00 1f 22 5c 7f e280a8 f09f9880`.concat(
  ['', '"', 'ä', '\x1f'].map(end => utf8(`${'a'.repeat(130)}${end}`)),
)
const ENUM_NUMBERS = [0n, 1n, 2n, 5n, 7n, -1n, -2n, 2n ** 31n, -(2n ** 31n), 2n ** 32n + 1n, 2n ** 63n]

const SECONDS = [0n, 62135596800n, 253402300799n, 315576000000n, 2n ** 53n, 2n ** 62n].flatMap(seconds =>
  [seconds, seconds + 1n].flatMap(seconds => [seconds, -seconds]),
)
const NANOS = [0n, 1n, -1n, 100n, 123456000n, 500000000n, 999999999n, 1000000000n, -999999999n, 2n ** 32n + 5n]
const TIMES = SECONDS.flatMap(seconds => NANOS.map(nanos => [...integer(1, seconds), ...integer(2, nanos)]))

const TEXT = record(3, utf8('x'))
const KINDS = [[], TEXT, [...TEXT, ...integer(4, 1n)], [...record(5), ...record(5)]].concat(
  [1, 4, 7].flatMap(field => [0n, 1n, 5n].map(value => integer(field, value))),
  [0, -0, 1, 1e21, 1e-7, 5e-324, Number.NaN, Number.POSITIVE_INFINITY].map(value => double(2, value)),
  [record(5), record(6)],
  [
    [],
    TEXT,
    record(1, utf8('k')),
    entry(TEXT),
    entry([]),
    [...record(1, utf8('__proto__')), ...record(2, TEXT)],
  ].flatMap(content => [record(5, record(1, content)), record(6, record(1, content))]),
)
const LISTS = KINDS.map(kind => record(1, kind))
const STRUCTS = KINDS.map(kind => record(1, entry(kind)))
const MASKS = ['', 'a', 'a_b', 'aB', 'a__b', 'a_1', '_a', 'a.b_c', 'a,b', 'A', 'a_', 'ä', 'a b', 'a.', '.a', 'a_B'].map(
  path => [...record(1, utf8('b_c')), ...record(1, utf8(path))],
)
const any = (url: string, value: Bytes): Bytes => [...record(1, utf8(url)), ...record(2, value)]
const ANYS = ['', 'every.v1.Scalars', 'a/every.v1.Scalars', 'a/google.protobuf.Duration', 'a/b.C'].flatMap(url =>
  [[], integer(1, 1n), integer(3, 1n), integer(1, 2n ** 60n), [0x18]].map(value => any(url, value)),
)
// The members of every.v1.Choice: first varints, then length-delimited values.
const MEMBERS = [
  ...[2, 4, 6, 9, 10].flatMap(field => [0n, 1n, 77n].map(value => integer(field, value))),
  ...[1, 3, 5, 7, 8, 11].flatMap(field =>
    [[], TEXT, record(1, utf8('x')), integer(1, 1n)].map(content => record(field, content)),
  ),
]

function fieldMessages(types: string, messagesOf: (field: DescField) => readonly Bytes[]): MessageCase[] {
  return eachField(types, (field, type) => messagesOf(field).map(message => ({ type, message })))
}

/** Returns messages that contain messages of a type: once, twice, and as the value of a map. */
function within(name: string, contents: readonly Bytes[]): MessageCase[] {
  return fieldMessages('WellKnown WellKnownLists WellKnownMaps Choice', ({ message, number }) =>
    (message?.name === name ? contents : []).flatMap(content => [
      record(number, content),
      [...record(number, content), ...record(number, content)],
      record(number, entry(content)),
    ]),
  )
}

/** Wraps the innermost message `depth` times. */
function nested(depth: number, innermost: Bytes, wrap: (inner: Bytes) => Bytes): Bytes {
  let message = innermost
  for (let level = 0; level < depth; level++) message = wrap(message)
  return message
}

const STRING_TYPES = 'Scalars ScalarLists ScalarChoice'
const SINGLE_TYPES = `${STRING_TYPES} OptionalScalars Enums ClosedEnums`
const MESSAGE_TYPES = 'ScalarMaps MapKeys WellKnown Choice'

/** Messages by what they contain. */
export const MESSAGE_CASES: Readonly<Record<string, readonly MessageCase[]>> = {
  'fields of each wire type': fieldMessages(`${SINGLE_TYPES} ${MESSAGE_TYPES} Closed`, ({ number }) => [
    ...VALUES.flatMap(value => [0, 1, 2, 5].map(wireType => [...tag(number, wireType), ...value])),
    ...VALUES.flatMap(value => [record(number, value, value), [...tag(99, 0), ...value]]),
    ...[3, 4, 6, 7].map(wireType => [...tag(number, wireType), ...tag(number, 4)]),
    ...[1, 3, 4, 5, 8, 9].flatMap(more => [0, 2].map(type => [...padded(tag(number, type), more), 0])),
    [...padded(tag(number, 0), 4).slice(0, -1), 0x10, 0],
  ]),
  'map entries and nested messages of each wire type': fieldMessages(MESSAGE_TYPES, ({ number }) =>
    [1, 2].flatMap(inner =>
      [0, 1, 2, 5].flatMap(type => VALUES.map(value => record(number, [...tag(inner, type), ...value]))),
    ),
  ),
  'valid and invalid UTF-8': fieldMessages(`${STRING_TYPES} ${MESSAGE_TYPES}`, ({ number }) =>
    TEXTS.flatMap(text => [
      record(number, text),
      record(number, record(1, text)),
      record(number, record(1, text), record(2, text)),
      record(number, record(1, record(1, text), record(2, record(3, text)))),
    ]),
  ),
  'enum values': fieldMessages('Enums ClosedEnums Closed Choice', ({ number, enum: named }) =>
    (named === undefined ? [] : ENUM_NUMBERS).flatMap(value => [
      integer(number, value),
      [...integer(number, 1n), ...integer(number, value)],
      record(number, varint(1n), varint(value)),
      record(number, integer(1, 1n), integer(2, value)),
      record(number, record(1, utf8('k')), integer(2, value)),
    ]),
  ),
  'several members of a oneof': MEMBERS.flatMap(first =>
    MEMBERS.map(second => ({ type: 'Choice', message: [...first, ...second] })),
  ),
  'google.protobuf.Timestamp': within('Timestamp', TIMES),
  'google.protobuf.Duration': within('Duration', TIMES),
  'google.protobuf.Value': within('Value', KINDS),
  'google.protobuf.ListValue': within('ListValue', LISTS),
  'google.protobuf.Struct': within('Struct', STRUCTS),
  'google.protobuf.FieldMask': within('FieldMask', MASKS),
  'google.protobuf.Any': within('Any', ANYS),
  'a premature end': fieldMessages(`${SINGLE_TYPES} ${MESSAGE_TYPES}`, ({ number }) =>
    [integer(number, 300n), double(number, 1.5), record(number, entry(utf8('abc'))), record(number, ...TIMES)].flatMap(
      message => message.slice(0, 20).map((_, end) => message.slice(0, end)),
    ),
  ),
  'deep nesting': [1, 48, 49, 50, 51, 97, 98, 99, 100, 101, 102, 300].flatMap(depth => {
    const lists = nested(depth, record(6), inner => record(6, record(1, inner)))
    const structs = nested(depth, record(5), inner => record(5, record(1, entry(inner))))
    const groups = nested(depth, [], inner => [...tag(99, 3), ...inner, ...tag(99, 4)])
    const anyDuration = record(4, any('a/google.protobuf.Duration', integer(1, 1n)))
    const messages = [[], anyDuration, record(5, integer(1, 1n)), record(6, TEXT)].flatMap(innermost => [
      nested(depth, innermost, inner => record(1, inner)),
      nested(depth, innermost, inner => record(2, record(3, entry(inner)))),
    ])
    return [record(6, lists), record(6, structs), groups, ...messages].map(message => ({ type: 'Nested', message }))
  }),
}
