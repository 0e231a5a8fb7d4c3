import type { JsonValue } from '@bufbuild/protobuf'
import fc from 'fast-check'
import t from 'tap'
import { StatusError } from '#runtime/status.ts'
import { MAX_JSON_DEPTH, parseJson } from '../../../../gateway/transcoding/binding/json-text.ts'
import type { LossyNumbers } from '../../../../gateway/transcoding/binding/lossy-numbers.ts'

const bytes = (text: string) => Buffer.from(text)

const parse = (text: string, lossy: LossyNumbers = new Map()) => parseJson(bytes(text), lossy)

/** Returns the first violation. @throws Error if the text is accepted. */
function violationOf(text: string | Uint8Array): { field: string; description: string } {
  try {
    parseJson(typeof text === 'string' ? bytes(text) : text, new Map())
  } catch (error) {
    if (error instanceof StatusError && error.violations[0] !== undefined) return error.violations[0]
    throw error
  }
  throw new Error(`${text} was accepted`)
}

t.test('parseJson returns the same value as JSON.parse', async t => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      t.strictSame(parse(text), JSON.parse(text))
    }),
  )
})

t.test('a duplicate name in an object at any depth is a violation of that name', async t => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.jsonValue({ maxDepth: 2 }),
      fc.array(fc.string(), { maxLength: 4 }),
      (name, value, path) => {
        const pair = `${JSON.stringify(name)}: ${JSON.stringify(value)}`
        const inner = `{${pair} , ${pair}}`
        const text = path.reduce((nested, key) => `[{${JSON.stringify(key)} :${nested}}]`, inner)
        t.same(violationOf(text), { field: name, description: 'is given twice in the body' })
      },
    ),
  )
  t.match(violationOf('{"a": 1, "\\u0061": 2}'), { field: 'a' }, 'names are compared after decoding escapes')
})

t.test('the same name in different objects is accepted', async t => {
  t.same(parse('[{"a": {"a": 1}}, {"a": "\\"a\\": :"}]'), [{ a: { a: 1 } }, { a: '"a": :' }])
})

t.test('text that is not JSON is rejected', async t => {
  const bad = ['{', '{"a": 1,}', "{'a': 1}", '{"a": 1} x', '[1 2]', '{"a": 01}', '"\t"', 'nul', '{"a" 1}', '﻿{}']
  for (const text of bad) t.match(violationOf(text), { field: 'body', description: /^is not valid JSON/ }, text)
})

t.test('bytes that are not UTF-8 are rejected', async t => {
  for (const invalid of [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    const text = Buffer.concat([bytes('"'), Buffer.from(invalid), bytes('"')])
    t.match(violationOf(text), { field: 'body', description: 'is not valid UTF-8' })
  }
})

t.test('nesting deeper than 64 levels is rejected', async t => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  t.ok(parse(nested(MAX_JSON_DEPTH)))
  t.match(violationOf(nested(MAX_JSON_DEPTH + 1)), { description: /deeper than 64/ })
  t.match(violationOf('['.repeat(1_000_000)), { description: /deeper than 64/ })
})

t.test('__proto__ becomes an own property and does not change the prototype', async t => {
  const value = parse('{"__proto__": {"admin": true}}') as object
  t.ok(Object.hasOwn(value, '__proto__'))
  t.notOk('admin' in value)
})

t.test('numbers that JSON.parse changes are reported with their object and name', async t => {
  const lossyIn = (text: string) => {
    const lossy: LossyNumbers = new Map()
    const value = parseJson(bytes(text), lossy)
    t.strictSame(value, JSON.parse(text))
    return [...lossy].map(([holder, numbers]) => [JSON.stringify(holder), ...numbers.keys()])
  }
  for (const number of ['1e400', '-1e400', '9007199254740993', '-9007199254740993', '18446744073709551615']) {
    const parsed = JSON.stringify(Number(number))
    t.same(
      lossyIn(`[{"a": ${number}, "b": 1, "c": ${number}}]`),
      [[`{"a":${parsed},"b":1,"c":${parsed}}`, 'a', 'c']],
      number,
    )
    t.same(lossyIn(`["${number}"]`), [])
  }
  for (const number of [
    '9007199254740993.0',
    '9.007199254740993e15',
    '90071992547409930e-1',
    '1.00000000000000000001',
  ]) {
    t.same(lossyIn(`{"a": [0, ${number}]}`), [[`[0,${Number(number)}]`, '1']], number)
  }
  for (const number of [
    '9007199254740992',
    '9007199254740992.0',
    '0.5e1',
    '1e20',
    '1e300',
    '9223372036854775808',
    '1e3',
    '0.1',
    '3.141592653589793238',
    '-0',
  ]) {
    t.same(lossyIn(`[${number}]`), [], number)
  }
})

t.test('exactly the numbers that differ by exact arithmetic are reported, at any position', async t => {
  const number = fc
    .tuple(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n }),
      fc.integer({ min: -20, max: 0 }),
      fc.constantFrom('e', 'E'),
    )
    .map(([mantissa, power, e]) => ({ text: `${mantissa}${e}${power}`, mantissa, power }))
  const arbitraryValue = fc.letrec<{ value: JsonValue }>(tie => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue() as fc.Arbitrary<JsonValue>,
      fc.array(tie('value')),
      fc.dictionary(fc.string(), tie('value')),
    ),
  })).value
  fc.assert(
    fc.property(number, arbitraryValue, fc.string(), ({ text, mantissa, power }, other, name) => {
      const scale = 10n ** BigInt(-power)
      const parsed = Number(text)
      const isLossy = Number.isInteger(parsed) && mantissa !== BigInt(parsed) * scale
      const digits = mantissa % scale === 0n ? `${mantissa / scale}` : undefined
      const lossy: LossyNumbers = new Map()
      const value = parse(
        `[[${JSON.stringify(other)}], {${JSON.stringify(name)}: ${text}}, ${text}]`,
        lossy,
      ) as object[]
      const expected = isLossy
        ? [
            [value[1], [[name, digits]]],
            [value, [['2', digits]]],
          ]
        : []
      const reported = [...lossy].filter(([holder]) => holder === value || holder === value[1])
      t.strictSame(
        reported.map(([holder, names]) => [holder, [...names]]),
        expected,
      )
    }),
  )
})
