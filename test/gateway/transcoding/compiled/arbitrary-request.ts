/** Generates requests: path values, query, body, cookies and If-Match, some of them damaged. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { takesRawBody } from '../../../../gateway/contract/http-body.ts'
import type { Route } from '../../../../gateway/contract/route-table.ts'
import type { RequestInput } from '../../../../gateway/transcoding/codec.ts'
import { arbitraryJson, fieldJson, valueJson } from './arbitrary-json.ts'
import { PLAIN_TEXT } from './arbitrary-json-values.ts'
import { damaged } from './arbitrary-wire.ts'

type Text = fc.Arbitrary<string>

/**
 * Generates requests to a route.
 * @param faultPercent percentage of values that are unusual, most of which are invalid.
 */
export function arbitraryRequest(route: Route, faultPercent: number): fc.Arbitrary<RequestInput> {
  const { input } = route.descriptor
  return fc.record({
    pathValues: fc.tuple(...route.template.variables.map(({ fieldPath }) => pathValue(input, fieldPath, faultPercent))),
    query: query(route, faultPercent),
    ...(takesRawBody(route) ? RAW_BODY : { body: body(route, faultPercent) }),
    cookies: fc.dictionary(fc.constantFrom('c', 'd'), fc.oneof(PLAIN_TEXT, fc.constant('\ud800'))),
    ifMatch: fc.constantFrom(undefined, '*', '"1"', '"1", "ü"', 'W/"1"', 'nonsense', ''),
  })
}

const RAW_BODY = {
  body: fc.option(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
      fc.constantFrom(Buffer.from('{}'), Buffer.alloc(200, 0xff), Buffer.alloc(20_000)),
    ),
    { nil: undefined },
  ),
  contentType: fc.constantFrom(undefined, 'image/png', 'text/plain; charset="ü"', ''),
}

function body(route: Route, faultPercent: number): fc.Arbitrary<Uint8Array | undefined> {
  const { body, descriptor } = route
  if (body.kind === 'none') {
    const unexpected = fc.constantFrom(Buffer.alloc(0), Buffer.from('{}'), Buffer.from('{"a":1}'))
    return fc.oneof(
      { weight: 20, arbitrary: fc.constant(undefined) },
      { weight: Math.min(faultPercent, 1), arbitrary: unexpected },
    )
  }
  const text =
    body.kind === 'message' ? arbitraryJson(descriptor.input, faultPercent) : fieldJson(body.field, faultPercent, 3)
  const bytes = text.map(json => Buffer.from(json))
  return fc.oneof(
    { weight: 40, arbitrary: bytes },
    { weight: Math.min(faultPercent, 3), arbitrary: damaged(bytes) },
    { weight: Math.min(faultPercent, 1), arbitrary: fc.constantFrom(undefined, Buffer.alloc(0)) },
  )
}

/** Generates the text of a path variable: usually the JSON of the field without quotes. */
function pathValue(input: DescMessage, fieldPath: readonly string[], faultPercent: number): Text {
  let message: DescMessage | undefined = input
  let value: Text = PLAIN_TEXT
  for (const name of fieldPath) {
    const field: DescField | undefined = message?.fields.find(candidate => candidate.name === name)
    message = field?.message
    if (field !== undefined) value = valueJson(field, faultPercent, 0).map(unquoted)
  }
  return value
}

function unquoted(json: string): string {
  return json.replace(/^"(.*)"$/s, '$1')
}

const UNUSUAL_VALUES = [
  '',
  'true',
  'TRUE',
  '1',
  '%2B1',
  '0',
  '-1',
  'a+b',
  '%FF',
  '%zz',
  'FIRST',
  '2',
  '%ED%A0%80',
  '%00',
]

function query({ descriptor: { input }, body }: Route, faultPercent: number): Text {
  const unusual = fc
    .tuple(
      fc.constantFrom('unknown', '', 'a.b.c', ...input.fields.map(field => field.name)),
      fc.constantFrom(...UNUSUAL_VALUES),
    )
    .map(pair => pair.join('='))
  const usual = parameters(input, faultPercent, 1)
  if (usual.length === 0 || (body.kind === 'message' && faultPercent === 0)) return fc.constant('')
  const list = fc.array(
    fc.oneof({ weight: 100, arbitrary: fc.oneof(...usual) }, { weight: faultPercent, arbitrary: unusual }),
    {
      maxLength: 3,
    },
  )
  const parameterList = list.map(pairs => pairs.join('&'))
  return fc.oneof(
    { weight: body.kind === 'none' ? 1 : 5, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: parameterList },
  )
}

function parameters(message: DescMessage, faultPercent: number, depth: number, prefix = ''): Text[] {
  return message.fields.flatMap(field => {
    const { name, jsonName } = field
    if (field.fieldKind === 'map') return []
    if (field.message !== undefined && !field.message.typeName.startsWith('google.protobuf.')) {
      return depth === 0 ? [] : parameters(field.message, faultPercent, depth - 1, `${prefix}${name}.`)
    }
    const value = valueJson(field, faultPercent, 1).map(json => encodeURIComponent(unquoted(json).toWellFormed()))
    return [
      fc
        .tuple(fc.constantFrom(name, jsonName), value)
        .map(([key, text]) => `${prefix}${encodeURIComponent(key)}=${text}`),
    ]
  })
}
