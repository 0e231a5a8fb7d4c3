/** Generates JSON text of scalars and well-known types: usual spellings, and unusual ones that ProtoJSON may reject. */
import { ScalarType } from '@bufbuild/protobuf'
import fc from 'fast-check'

type Text = fc.Arbitrary<string>

/** Generators of JSON text for values of one type. */
export interface Spellings {
  /** Valid text in the form that clients use. */
  readonly usual: Text
  /** Rare forms, some valid, most invalid. */
  readonly unusual: Text
}

/** Text of letters, digits and hyphens, which needs no encoding in a URL. */
export const PLAIN_TEXT = fc.string({ unit: fc.constantFrom(...'abcXYZ019-'), maxLength: 6 })

const quoted = (text: Text) => text.map(value => JSON.stringify(value))

const STRING: Spellings = {
  usual: quoted(
    fc.oneof(PLAIN_TEXT, fc.string({ maxLength: 60, size: 'max' }), fc.string({ unit: 'binary', maxLength: 8 })),
  ),
  unusual: fc.constantFrom(
    '""',
    '"\\ud83d\\ude00"',
    '"\\ud83d"',
    '"\\udc00a"',
    '"a\\u0000b"',
    '"\\/"',
    '"ä"',
    '"\u2028"',
  ),
}

const BYTES = fc.uint8Array({ maxLength: 9 }).map(bytes => Buffer.from(bytes))
const BASE64: Spellings = {
  usual: quoted(BYTES.map(bytes => bytes.toString('base64'))),
  unusual: fc.oneof(
    quoted(BYTES.map(bytes => bytes.toString('base64url'))),
    fc.constantFrom('"Zh=="', '"Zg"', '"Z"', '"Zg="', '"Zm9="', '"-_-_"', '"+/+_"', '"Zg==Zg=="', '"Z g="', '"Zg==="'),
  ),
}

const finite = { noNaN: true, noDefaultInfinity: true }
const FRACTION: Spellings = {
  usual: fc
    .oneof(fc.float(finite), fc.integer())
    .chain(number => fc.constantFrom(JSON.stringify(number), `"${number}"`)),
  unusual: fc.oneof(
    fc.double(finite).map(number => JSON.stringify(number)),
    fc.constantFrom('-0', '-0.0', '"-0"', '"NaN"', '"Infinity"', '"-Infinity"', '3.4028235e+38', '3.4028236e38'),
    fc.constantFrom('"1e400"', '1e400', '5e-324', '1e-400', '"1e3"', '"0x1"', '"01"', '" 1"', '""', '"1."', '".5"'),
  ),
}

const LIMITS = [0n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n]
  .flatMap(limit => [limit - 1n, limit, limit + 1n])
  .flatMap(limit => [`${limit}`, `-${limit}`])
const UNUSUAL_INTEGERS = ['-0', '1.0', '1e2', '1.5', '1e21', '100e-2']

function integer(min: bigint, max: bigint): Spellings {
  const small = fc.bigInt(min < 0n ? -300n : 0n, 300n)
  const isExact = (number: bigint) => BigInt(Number(number)) === number
  return {
    usual: fc
      .oneof(fc.bigInt(min, max), small)
      .chain(number => fc.constantFrom(...(isExact(number) ? [`${number}`] : []), `"${number}"`)),
    unusual: fc.oneof(
      fc.constantFrom(...LIMITS, ...UNUSUAL_INTEGERS).chain(number => fc.constantFrom(number, `"${number}"`)),
      fc.constantFrom('"007"', '"+1"', '"0x1"', '" 1"', '""', '"-"', '"١"'),
    ),
  }
}

const INT32 = integer(-(2n ** 31n), 2n ** 31n - 1n)
const UINT32 = integer(0n, 2n ** 32n - 1n)
const INT64 = integer(-(2n ** 63n), 2n ** 63n - 1n)
const UINT64 = integer(0n, 2n ** 64n - 1n)

/** The spellings of scalar values. */
export const SCALARS: Record<ScalarType, Spellings> = {
  [ScalarType.BOOL]: { usual: fc.constantFrom('true', 'false'), unusual: fc.constantFrom('"true"', '1', '"false"') },
  [ScalarType.STRING]: STRING,
  [ScalarType.BYTES]: BASE64,
  [ScalarType.FLOAT]: FRACTION,
  [ScalarType.DOUBLE]: FRACTION,
  [ScalarType.INT32]: INT32,
  [ScalarType.SINT32]: INT32,
  [ScalarType.SFIXED32]: INT32,
  [ScalarType.UINT32]: UINT32,
  [ScalarType.FIXED32]: UINT32,
  [ScalarType.INT64]: INT64,
  [ScalarType.SINT64]: INT64,
  [ScalarType.SFIXED64]: INT64,
  [ScalarType.UINT64]: UINT64,
  [ScalarType.FIXED64]: UINT64,
}

const padded = (from: number, to: number, length = 2) =>
  fc.integer({ min: from, max: to }).map(number => `${number}`.padStart(length, '0'))
const fraction = fc.oneof(fc.constant(''), fc.stringMatching(/^\.\d{1,9}$/))

const TIMESTAMP: Spellings = {
  usual: fc
    .tuple(fc.date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') }), fraction)
    .map(([date, nanos]) => `"${date.toISOString().slice(0, 19)}${nanos}Z"`),
  unusual: quoted(
    fc.oneof(
      fc.tuple(padded(0, 9999, 4), padded(0, 13), padded(0, 32)).map(parts => `${parts.join('-')}T00:00:00Z`),
      fc.tuple(padded(0, 25), padded(0, 61), padded(0, 61)).map(parts => `2024-02-29T${parts.join(':')}Z`),
      fc
        .tuple(
          fc.constantFrom('0001-01-01T00', '2024-02-29T24', '9999-12-31T23'),
          fc.constantFrom('+', '-'),
          padded(0, 30),
          padded(0, 70),
        )
        .map(([hour, sign, hours, minutes]) => `${hour}:30:59.5${sign}${hours}:${minutes}`),
      fc.constantFrom(
        '',
        '2024-01-01',
        '2024-01-01T00:00:00',
        '2024-01-01t00:00:00z',
        '2024-01-01T00:00:00.0123456789Z',
      ),
      fc.constantFrom('+002024-01-01T00:00:00Z', '2024-01-01 00:00:00Z', '2024-01-01T00:00:00Z\n'),
    ),
  ),
}

const DURATION: Spellings = {
  usual: fc
    .tuple(fc.constantFrom('', '-'), fc.bigInt(0n, 315_575_999_999n), fraction)
    .map(parts => `"${parts.join('')}s"`),
  unusual: fc.oneof(
    fc.constantFrom('"-0s"', '"-0.5s"', '"1.s"', '"1"', '"s"', '"1sx"', '"007s"', '"1e3s"', '"315576000001s"'),
    fc.constantFrom(
      '"315576000000.000000001s"',
      '"-315576000000s"',
      '"1.0123456789s"',
      '" 1s"',
      '"00000000000000001s"',
    ),
  ),
}

const FIELD_MASK: Spellings = {
  usual: fc
    .array(fc.stringMatching(/^[a-z]{1,3}([A-Z][a-z0-9]{0,3}){0,2}(\.[a-z]{1,3})?$/), { maxLength: 3 })
    .map(paths => `"${paths.join(',')}"`),
  unusual: fc.constantFrom('"a_b"', '","', '"A"', '"a,,b"', '"a b"', '"\\ud800"', '"a.B"', '"ä"'),
}

const UNUSUAL_NAMES = ['__proto__', 'constructor', '2', '1', '']
const UNUSUAL_JSON = fc.constantFrom('1e999', '"\\ud800"', '{"\\ud800":1}', '{"a":1,"a":1}', '-0', '[[[[]]]]', 'null')
const ANY_JSON = fc.json({ maxDepth: 2 })
const STRUCT = fc
  .dictionary(fc.oneof(PLAIN_TEXT, fc.constantFrom(...UNUSUAL_NAMES)), ANY_JSON, { maxKeys: 3 })
  .map(entries => Object.entries(entries).map(([name, text]) => `${JSON.stringify(name)}:${text}`))
  .map(entries => `{${entries.join(',')}}`)

/** The spellings of well-known types, by full name. */
export const WELL_KNOWN: Readonly<Record<string, Spellings>> = {
  'google.protobuf.Timestamp': TIMESTAMP,
  'google.protobuf.Duration': DURATION,
  'google.protobuf.FieldMask': FIELD_MASK,
  'google.protobuf.Struct': { usual: STRUCT, unusual: UNUSUAL_JSON },
  'google.protobuf.ListValue': {
    usual: fc.array(ANY_JSON, { maxLength: 3 }).map(list => `[${list.join(',')}]`),
    unusual: UNUSUAL_JSON,
  },
  'google.protobuf.Value': { usual: ANY_JSON, unusual: UNUSUAL_JSON },
  'google.protobuf.Any': {
    usual: fc.constantFrom('{}', '{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}'),
    unusual: fc.constantFrom(
      '{"@type":""}',
      '{"@type":"a/t.v1.T1"}',
      '{"a":1}',
      '{"@type":"x/google.protobuf.Value","value":[]}',
    ),
  },
}

/** Returns the spellings of map keys, which are always in quotes. */
export function mapKey(type: ScalarType): Spellings {
  if (type === ScalarType.BOOL)
    return { usual: fc.constantFrom('"true"', '"false"'), unusual: fc.constantFrom('"TRUE"', '""') }
  const { usual, unusual } = SCALARS[type]
  if (type === ScalarType.STRING)
    return { usual, unusual: fc.oneof(unusual, quoted(fc.constantFrom(...UNUSUAL_NAMES))) }
  const asName = (text: Text) => text.map(number => (number.startsWith('"') ? number : `"${number}"`))
  return { usual: asName(usual), unusual: asName(unusual) }
}
