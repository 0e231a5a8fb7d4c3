/** Requests that are difficult to encode correctly. */
import type { DescField } from '@bufbuild/protobuf'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import { eachField } from './edge-case-contract.ts'

/** A request with a body or a query, by the name of its message type. */
export interface RequestCase {
  readonly type: string
  readonly body?: Uint8Array
  readonly query?: string
}

const words = ({ raw }: TemplateStringsArray): readonly string[] => raw.join('').trim().split(/\s+/)

const NUMBERS = words`0 -0 0.0 1 -1 1.0 1.5 1e3 10e-1 12e-1 0e5 01 1. .5 --1 NaN 1e19 1e400 -1e400 1e-400 2147483647
  2147483648 -2147483648 -2147483649 2147483647.0 4294967295 4294967296 9007199254740992 9007199254740993
  9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 18446744073709551615
  18446744073709551616 3.4028235e38 3.4028236e38 3.40282356779733661637539395458142568447e38 1.7976931348623159e308`
const TEXTS = words`"" "+1" "\u00201" "1\n" "0x10" "Infinity" "-Infinity" "nan" "true" "\u0000" "\ud800" "ä"
  "\udc00\ud800" "\ud83d\ude00" "YQ==" "YQ" "YQ=" "YR==" "-_-_" "+/+/" "-/+_" "Y\u0020Q=" "YQ===" "=" "AA=A" "A"`
const SCALARS = [...NUMBERS, ...NUMBERS.map(number => `"${number}"`), ...TEXTS, 'true', 'false']

const ENUMS = words`"SHADE_DARK" "shade_dark" "SHADE_NOPE" "SMALL" "NULL_VALUE" "" "1" 0 -0 1 2 5 7 -1 1.0 1.5 true
  2147483647 2147483648 -2147483649`

const WELL_KNOWN: Readonly<Record<string, readonly string[]>> = {
  Timestamp: words`"0001-01-01T00:00:00Z" "0000-12-31T23:59:59Z" "9999-12-31T23:59:59.999999999Z" "2020-01-01"
    "9999-12-31T23:59:59.9999999999Z" "10000-01-01T00:00:00Z" "2024-02-29T12:34:56.789Z" "2021-02-29T00:00:00Z"
    "2020-01-01T24:00:00Z" "2020-01-01T23:59:60Z" "2020-01-01T00:60:00Z" "2020-13-01T00:00:00Z" "2020-01-01T00:00:00"
    "2020-01-01t00:00:00z" "2020-01-01\u002000:00:00Z" "2020-01-01T00:00:00Z\n" "2020-01-01T00:00:00+14:00"
    "2020-01-01T00:00:00+25:00" "2020-01-01T00:00:00-00:00" "2020-01-01T00:00:00+00:60" "0001-01-01T00:00:00+01:00"
    "9999-12-31T23:59:59-01:00" "2020-01-01T00:00:00.Z" "1970-01-01T00:00:00.000000001Z" "1969-12-31T23:59:59.5Z"`,
  Duration: words`"1.5s" "0s" "-0s" "-0.5s" "1.123456789s" "1.1234567891s" "1" "s" ".5s" "1.s" "+1s" "\u00201s" "1e3s"
    "315576000000s" "315576000001s" "-315576000000s" "-315576000001s" "315576000000.999999999s" "01s" "1S"
    "-315576000000.999999999s" "00000000000000000000001s"`,
  FieldMask: words`"" "a" "a,bC.d" "a_b" "A" "a," ",a" "a..b" "a\u0020b" "aBC" "a1" "a.1" "_a" "ä" "\ud800" "a.B"`,
  Struct: words`{"a":{"b":[1,"x",null,true,{}]}} {"__proto__":1} {"a":1e400} {"a":9007199254740993} {"1":1,"0":2}
    {"\ud800":1} {"a":"\ud800"}`,
  Value: words`1 "x" [null,1,"x",{}] 1e400 "NaN" -0 {"a":{"a":{}}} "\ud800"`,
  ListValue: words`[null,1,"x",[],{}] ["\ud800"] [-0]`,
  Any: words`{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"} {"@type":"every.v1.Scalars"}
    {"value":"1s","@type":"type.googleapis.com/google.protobuf.Duration"} {"@type":"/every.v1.Scalars"} {"@type":"a/b.C"}
    {"@type":"a/every.v1.Scalars","aBool":true} {"@type":"a/google.protobuf.Empty","value":{}}
    {"@type":"a/google.protobuf.Any","value":{"@type":"a/google.protobuf.Duration","value":"1s"}}`,
}

const SHAPES = words`null [] {} [null] [[]] {"1":null} {"1":{}} {"":0} {"a":1} 0 "" true {"@type":""} {"1":1,"1":2}`

const KEYS = words`0 -0 1 -1 01 +1 1.0 1e0 10e-1 1.5 0x1 NaN true false True a __proto__ constructor \u0000 \ud800
  \u00201 2147483647 2147483648 -2147483648 4294967295 4294967296 9007199254740993 9007199254740993.0
  9223372036854775807 9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616`

const MEMBERS = words`"aText":"x" "aText":"" "aText":null "a_text":"y" "a_text":null "aNumber":1 "aNumber":null
  "aChoice":{} "aChoice":{"aText":"x","aNumber":1} "aShade":1 "aShade":"SHADE_NOPE" "aValue":null "aValue":[]
  "aNull":null "aNull":"NULL_VALUE" "a_null":0 "aWrapper":null "aWrapper":"" "aTime":null "yes":true "no":false
  "no":null "only":"" "unknown":null`

const NAMES = words`{"toString":"x"} {"constructor":"x"} {"_leading":"x"} {"Leading":"x"} {"with1Digit":"x"}
  {"a/b~c\u0020d":"x"} {"own_name":"x"} {"ownName":"x"} {"__proto__":"x"} {"hasOwnProperty":[{}]} {"upper_CASE":"x"}
  {"upperCASE":"x"} {"map":{"__proto__":{"toString":"y"}}} {"map":{"a":{},"\u0061":{}}} {"itself":{"unknown":1}}`
const JSON_TEXTS = words`{"aInt32":1,"a_int32":1} {"aInt32":1,"aInt32":1} {"aInt32":null,"a_int32":1} {"aInt32":1,} {
  {"aInt32":1}// {'aInt32':1} {"aString":"\x41"} {"\u0061String":"b"} {"aBool":true}} {}{} [] null 1`
const STRING_BYTES = words`ff c080 eda080 f4908080 c3 efbfbd efbbbf 00 09 22 f09f9880`

function valuesOf({ message, enum: named }: DescField): readonly string[] {
  if (named !== undefined) return ENUMS
  return message === undefined || isWrapperDesc(message) ? SCALARS : (WELL_KNOWN[message.name] ?? [])
}

/** Returns JSON of the field: the value itself, a list with the value twice, or a map with one entry. */
function shaped({ fieldKind }: DescField, value: string): string {
  return fieldKind === 'list' ? `[${value},${value}]` : fieldKind === 'map' ? `{"1":${value}}` : value
}

const bodies = (type: string, ...texts: readonly string[]): RequestCase[] =>
  texts.map(text => ({ type, body: Buffer.from(text) }))
const fieldBodies = (types: string, textsOf: (field: DescField) => readonly string[]) =>
  eachField(types, (field, type) => bodies(type, ...textsOf(field).map(text => `{"${field.jsonName}":${text}}`)))
const valueBodies = (types: string) => fieldBodies(types, field => valuesOf(field).map(value => shaped(field, value)))
const parameter = ({ name }: DescField, value: string) => `${name}=${encodeURIComponent(value.replace(/^"|"$/g, ''))}`
const nested = (open: string, close: string, depth: number) => `${open.repeat(depth)}{}${close.repeat(depth)}`

const SCALAR_TYPES = 'Scalars OptionalScalars ScalarLists ScalarMaps ScalarChoice'
const WELL_KNOWN_TYPES = 'WellKnown WellKnownLists WellKnownMaps'
const ENUM_TYPES = 'Enums ClosedEnums Closed'

/** Requests by what they contain. */
export const REQUEST_CASES: Readonly<Record<string, readonly RequestCase[]>> = {
  'scalar values': valueBodies(SCALAR_TYPES),
  'enum values': valueBodies(ENUM_TYPES),
  'well-known types': valueBodies(WELL_KNOWN_TYPES),
  'query parameters': eachField('Scalars Enums ClosedEnums WellKnown', (field, type) =>
    valuesOf(field).map(value => ({ type, query: parameter(field, value) })),
  ),
  'null and values of the wrong structure': fieldBodies(
    `${SCALAR_TYPES} MapKeys ${WELL_KNOWN_TYPES} ${ENUM_TYPES} Choice Nested`,
    field => SHAPES.flatMap(text => [text, shaped(field, text)]),
  ),
  'map keys': fieldBodies('MapKeys', () =>
    KEYS.flatMap(key => [`{"${key}":true}`, `{"1":true,"${key}":false}`, `{"${key}":true,"true":false}`]),
  ),
  'several members of a oneof': bodies(
    'Choice',
    ...MEMBERS.flatMap(first => MEMBERS.map(second => `{${first},${second}}`)),
  ),
  'unusual names and texts': [
    ...bodies('Names', ...NAMES),
    ...bodies('Scalars', ...JSON_TEXTS, '', ' {} ', '\ufeff{}', '{}\u0000'),
    ...STRING_BYTES.map(hex => ({ type: 'Scalars', body: Buffer.from(`7b22615f737472696e67223a22${hex}227d`, 'hex') })),
  ],
  'deep nesting': [1, 31, 32, 33, 61, 62, 63, 64, 65, 66, 1000].flatMap(depth => [
    ...bodies('Nested', nested('{"single":', '}', depth), nested('{"list":[{"map":{"a":', '}}]}', depth)),
    ...bodies('Nested', `{"value":${nested('[', ']', depth)}}`, `{"value":${nested('{"a":', '}', depth)}}`),
    { type: 'Nested', query: `${'single.'.repeat(depth)}time=1970-01-01T00:00:00Z` },
  ]),
}
