import fc from 'fast-check'
import t from 'tap'
import { acceptTrace, continueTrace } from '#runtime/observability/request-trace.ts'
import { parseTraceContext, parseTracestate, traceHeaders } from '#runtime/observability/trace-context.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const TRACEPARENT = `00-${TRACE}-${SPAN}-01`

const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
    .map(digits => digits.join(''))
    .filter(text => !/^0+$/.test(text))

t.test('a parsed traceparent is formatted as the same header', async t => {
  fc.assert(
    fc.property(hex(32), hex(16), fc.nat(3), (traceId, spanId, traceFlags) => {
      const header = `00-${traceId}-${spanId}-0${traceFlags}`
      const parsed = parseTraceContext(header, undefined)
      t.match(parsed, { traceId, spanId, traceFlags })
      t.equal(parsed && traceHeaders(parsed).traceparent, header)
    }),
  )
})

t.test('an invalid traceparent starts a new trace without tracestate', async t => {
  const invalid = [
    '',
    'x',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-01-`,
    `00-${TRACE}-${SPAN}-01.`,
    `00-${TRACE}-${SPAN}-01-more`,
    `cc-${TRACE}-${SPAN}-01.more`,
    `cc-${TRACE}-${SPAN}-0`,
    `ff-${TRACE}-${SPAN}-01`,
    `ff-${TRACE}-${SPAN}-01-more`,
    `FF-${TRACE}-${SPAN}-01`,
    `.0-${TRACE}-${SPAN}-01`,
    `0-${TRACE}-${SPAN}-01`,
    `000-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}0-${SPAN}-01`,
    `00-${TRACE.slice(1)}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}0-01`,
    `00-${TRACE}-${SPAN.slice(1)}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-0x`,
    `00-${TRACE}-${SPAN}-0A`,
    `00_${TRACE}_${SPAN}_01`,
    ` ${TRACEPARENT}`,
    `${TRACEPARENT}\n`,
    `${TRACEPARENT}, ${TRACEPARENT}`,
    `cc-${TRACE}-${SPAN}-01-x, ${TRACEPARENT}`,
  ]
  for (const traceparent of invalid) {
    t.equal(parseTraceContext(traceparent, 'a=1'), undefined, JSON.stringify(traceparent))
    const { spanContext, parent } = continueTrace(traceparent, 'a=1')
    t.equal(parent, undefined)
    t.match(traceHeaders(spanContext).traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-02$/)
    t.not(spanContext.traceId, TRACE)
    t.equal(traceHeaders(spanContext).tracestate, undefined)
  }
})

t.test('a traceparent of a later version is parsed by its first four fields and propagated as version 00', async t => {
  for (const traceparent of [
    `cc-${TRACE}-${SPAN}-01`,
    `01-${TRACE}-${SPAN}-01-`,
    `fe-${TRACE}-${SPAN}-01-future-field`,
  ]) {
    t.match(parseTraceContext(traceparent, undefined), { traceId: TRACE, spanId: SPAN, traceFlags: 1 }, traceparent)
    const { spanContext } = continueTrace(traceparent, undefined)
    t.equal(traceHeaders(spanContext).traceparent, `00-${TRACE}-${spanContext.spanId}-01`)
  }
})

t.test('the sampled and the random flag are propagated between services, unknown trace flags are not', async t => {
  for (const [flags, propagated] of [
    ['00', '00'],
    ['01', '01'],
    ['02', '02'],
    ['03', '03'],
    ['fe', '02'],
    ['ff', '03'],
    ['09', '01'],
    ['0c', '00'],
  ]) {
    const { traceparent } = continueTrace(`00-${TRACE}-${SPAN}-${flags}`, undefined)
    t.equal(traceparent.slice(-2), propagated, `flags ${flags}`)
  }
})

t.test(
  'the random flag of a client is kept whether the request is sampled or not; a new trace id is random',
  async t => {
    for (const ratio of [0, 1]) {
      for (const random of [0, 2]) {
        const { traceparent } = acceptTrace(`00-${TRACE}-${SPAN}-0${random}`, undefined, ratio)
        t.match(traceparent, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-0${random + ratio}$`))
      }
      t.equal(acceptTrace(undefined, undefined, ratio).traceparent.slice(-2), `0${2 + ratio}`)
    }
  },
)

t.test('each hop has its own span id with the span of its caller as parent', async t => {
  const first = acceptTrace(TRACEPARENT, 'a=1', 0)
  const second = continueTrace(first.traceparent, first.spanContext.traceState?.serialize())
  t.match(first, { parent: { spanId: SPAN }, spanContext: { traceId: TRACE } })
  t.match(second, { parent: { spanId: first.spanContext.spanId }, spanContext: { traceId: TRACE } })
  t.equal(new Set([SPAN, first.spanContext.spanId, second.spanContext.spanId]).size, 3)
  t.equal(traceHeaders(second.spanContext).tracestate, 'a=1', 'tracestate is propagated for unsampled traces, too')
})

t.test('generated ids are valid and unique', async t => {
  const seen = new Set<string>()
  for (let i = 0; i < 2000; i++) {
    const { traceparent, spanContext } = acceptTrace(undefined, undefined, 0)
    t.ok(parseTraceContext(traceparent, undefined) || t.fail(traceparent))
    seen.add(spanContext.traceId).add(spanContext.spanId)
  }
  t.equal(seen.size, 4000)
})

t.test('the sampled flag is ignored for requests of clients and used for calls between services', async t => {
  const unsampled = TRACEPARENT.replace(/01$/, '00')
  t.equal(acceptTrace(TRACEPARENT, undefined, 0).spanContext.traceFlags, 0)
  t.equal(acceptTrace(unsampled, undefined, 1).spanContext.traceFlags, 1)
  t.equal(continueTrace(TRACEPARENT, undefined).spanContext.traceFlags, 1)
  t.equal(continueTrace(unsampled, undefined).spanContext.traceFlags, 0)
})

// Trace Context Level 2, section 3.3.
const key = fc
  .tuple(
    fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789'),
    fc.string({ unit: fc.constantFrom(...'abcxyz0189_-*/@'), maxLength: 255, size: 'max' }),
  )
  .map(parts => parts.join(''))
const valueCharacters = Array.from({ length: 0x7f - 0x20 }, (_, index) => String.fromCharCode(0x20 + index)).filter(
  character => character !== ',' && character !== '=',
)
const value = fc
  .string({ unit: fc.constantFrom(...valueCharacters), minLength: 1, maxLength: 256, size: 'max' })
  .filter(text => !text.endsWith(' '))
const shortMember = fc
  .tuple(
    key.map(text => text.slice(0, 5)),
    value.map(text => text.slice(0, 8)),
  )
  .filter(([, text]) => !text.endsWith(' '))
const members = (member: fc.Arbitrary<[string, string]>) =>
  fc
    .uniqueArray(member, { minLength: 1, maxLength: 32, size: 'max', selector: ([name]) => name })
    .map(pairs => pairs.map(pair => pair.join('=')))
const whitespace = fc.string({ unit: fc.constantFrom(' ', '\t'), maxLength: 3 })

t.test('a valid tracestate keeps its members and their order and loses whitespace and empty members', async t => {
  fc.assert(
    fc.property(members(shortMember), fc.array(fc.tuple(whitespace, whitespace, fc.boolean())), (list, padding) => {
      const padded = list.map((member, index) => {
        const [before = '', after = '', empty = false] = padding[index] ?? []
        return before + member + after + (empty ? ` ,${before}` : '')
      })
      t.equal(parseTracestate(padded.join(',')), list.join(','))
    }),
  )
})

t.test(
  'a tracestate above 512 characters loses whole members: first those above 128 characters, then others from the end',
  async t => {
    const isLong = (member: string) => member.length > 128
    let shortened = 0
    fc.assert(
      fc.property(members(fc.tuple(key, value)), list => {
        const result = parseTracestate(list.join(',')) ?? ''
        const kept = list.filter(member => result.split(',').includes(member))
        const lost = list.filter(member => !kept.includes(member))
        t.equal(kept.join(','), result, 'whole members in their order')
        t.ok(result.length <= 512)
        if (lost.length > 0) shortened++
        if (lost.some(member => !isLong(member)))
          t.notOk(kept.some(isLong), 'short members are removed only if no long one is left')
        for (const ofKind of [list.filter(isLong), list.filter(member => !isLong(member))]) {
          const firstLost = ofKind.findIndex(member => lost.includes(member))
          if (firstLost !== -1)
            t.notOk(
              ofKind.slice(firstLost).some(member => kept.includes(member)),
              'members are removed from the end',
            )
        }
        const lastRemoved = lost.find(member => !isLong(member)) ?? lost[0]
        if (lastRemoved !== undefined)
          t.ok([...kept, lastRemoved].join(',').length > 512, 'no member is removed without need')
      }),
    )
    t.ok(shortened > 0, `${shortened} lists were shortened`)
  },
)

t.test('a tracestate of 1 MB of whitespace is parsed in linear time', async t => {
  const blank = ' \t'.repeat(500_000)
  t.equal(parseTracestate(`a${blank}b`), undefined)
  t.equal(parseTracestate(`${blank}a=b${blank}`), 'a=b')
  t.equal(parseTracestate(`a=b${blank}c`), undefined)
})

t.test('a parsed tracestate conforms to the grammar, whatever the header', async t => {
  let accepted = 0
  // Mostly valid members, so that some headers are valid as a whole.
  const valid = fc.constantFrom('a=1', 'b=x y', 'c@d=2', 'e=~', ',', ', ')
  const other = fc.constantFrom('a', 'Z', '1', '=', ' ', '\t', '\n', '\r', '@', '"', '\u00a0', 'é', '\0')
  const text = fc.string({
    unit: fc.oneof({ weight: 4, arbitrary: valid }, { weight: 1, arbitrary: other }),
  })
  fc.assert(
    fc.property(text, header => {
      const list = parseTracestate(header)
      if (list === undefined) return
      accepted++
      t.match(list, /^[\x20-\x7e]+$/)
      for (const member of list.split(',')) t.match(member, /^[a-z0-9][a-z0-9_*/@-]*=[^=]*[^= ]$/)
    }),
    { numRuns: 2000 },
  )
  t.ok(accepted > 50, `${accepted} headers were accepted`)
})

t.test('an invalid tracestate is ignored and the trace id is kept', async t => {
  const list = (count: number) => Array.from({ length: count }, (_, index) => `k${index}=${index}`).join(',')
  const cases: [string, string | undefined][] = [
    ['foo=1,bar=2', 'foo=1,bar=2'],
    ['foo=1 \t , \t bar=2, \t baz=3', 'foo=1,bar=2,baz=3'],
    ['\t foo=1 \t', 'foo=1'],
    ['foo= leading', 'foo= leading'],
    ['foo=1,,bar=2,', 'foo=1,bar=2'],
    ['1a@b@c=x', '1a@b@c=x'],
    [list(32), list(32)],
    [`${list(32)},`, list(32)],
    [`${'z'.repeat(256)}=1`, `${'z'.repeat(256)}=1`],
    [`z=${'v'.repeat(256)}`, `z=${'v'.repeat(256)}`],
    ['', undefined],
    [' , \t,', undefined],
    [list(33), undefined],
    ['foo=1,foo=1', 'foo=1'],
    ['foo=1,foo=2', 'foo=1'],
    ['foo=1,bar=2,foo=3', 'foo=1,bar=2'],
    [`${list(32)},k0=9`, undefined],
    ['foo=1,foo', undefined],
    ['foo', undefined],
    ['foo=', undefined],
    ['=1', undefined],
    ['foo =1', undefined],
    ['FOO=1', undefined],
    ['foo.bar=1', undefined],
    ['@foo=1', undefined],
    ['_foo=1', undefined],
    ['foo=1=2', undefined],
    ['foo=a\tb', undefined],
    ['foo=é', undefined],
    ['foo=1\r\nx-evil: 1', undefined],
    ['\u00a0foo=1', undefined],
    [`${'z'.repeat(257)}=1`, undefined],
    [`z=${'v'.repeat(257)}`, undefined],
    ['good=1,Bad=2', undefined],
  ]
  for (const [header, expected] of cases) {
    t.equal(parseTracestate(header), expected, JSON.stringify(header.slice(0, 40)))
    const parsed = parseTraceContext(TRACEPARENT, header)
    t.equal(parsed?.traceId, TRACE)
    t.equal(parsed && traceHeaders(parsed).tracestate, expected)
  }
})
