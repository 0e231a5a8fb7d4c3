/**
 * ProtoJSON as clients send it, and as they should not: values of another type, names that are unknown or given twice,
 * numbers too long. It is made as text, since much of that has no value to be written from.
 */
import type { DescField, DescMessage, ScalarType } from '@bufbuild/protobuf'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { mapKey, SCALARS, type Spellings, WELL_KNOWN } from './arbitrary-json-values.ts'

type Text = fc.Arbitrary<string>

const JUNK = ['null', 'true', '0', '1.5', '""', '"x"', '[]', '[null]', '{}', '{"a":1}', '1e999', '{"@type":""}']

/** @param faults of 100 values are odd, of which most are wrong. */
export function arbitraryJson(schema: DescMessage, faults: number, depth = 3): Text {
  if (isWrapperDesc(schema)) return spelled(SCALARS[schema.fields[0].scalar], faults)
  const wellKnown = WELL_KNOWN[schema.typeName]
  return wellKnown === undefined ? objectJson(schema, faults, depth) : spelled(wellKnown, faults)
}

function spelled({ usual, odd }: Spellings, faults: number): Text {
  return orElse(usual, fc.oneof(odd, odd, odd, fc.constantFrom(...JUNK)), faults)
}

function orElse(text: Text, other: Text, faults: number): Text {
  return fc.oneof({ weight: 100 - faults, arbitrary: text }, { weight: faults, arbitrary: other })
}

function objectJson(schema: DescMessage, faults: number, depth: number): Text {
  const members = schema.members.flatMap(member => {
    const fields = member.kind === 'oneof' ? member.fields : [member]
    const possible = fields.filter(field => depth > 0 || field.message === undefined)
    if (possible.length === 0) return []
    const [entry, ...more] = possible.map(field => entryJson(field, faults, depth))
    return entry === undefined ? [] : [fc.option(fc.oneof(entry, ...more), { nil: undefined, freq: 4 })]
  })
  const again = schema.fields.map(field => entryJson(field, faults, Math.min(depth, 1)))
  const odd = fc.oneof(fc.constantFrom('"unknown":1', '"__proto__":{}', '"":0'), ...again)
  const entries = fc
    .tuple(orElse(fc.constant(''), odd, faults), ...members)
    .chain(list => fc.shuffledSubarray(list, { minLength: list.length }))
  const object = entries.map(list => `{${list.filter(text => text !== undefined && text !== '').join(',')}}`)
  return orElse(object, fc.constantFrom(...JUNK), faults >> 2)
}

function entryJson(field: DescField, faults: number, depth: number): Text {
  const { name, jsonName } = field
  const key = fc.constantFrom(jsonName, jsonName, name).map(text => JSON.stringify(text))
  return fc.tuple(orElse(key, key.map(escaped), 3), fieldJson(field, faults, depth)).map(entry => entry.join(':'))
}

/** The same string, its first character as an escape. */
function escaped(json: string): string {
  return json.replace(/^"([a-z])/, (_, letter: string) => `"\\u00${letter.charCodeAt(0).toString(16)}`)
}

export function fieldJson(field: DescField, faults: number, depth: number): Text {
  const value = valueJson(field, faults, depth)
  if (field.fieldKind === 'list') {
    const list = fc.array(value, { maxLength: 4 }).map(entries => `[${entries.join(', ')}]`)
    return orElse(list, fc.constantFrom(...JUNK), faults)
  }
  if (field.fieldKind === 'map') {
    const entry = fc.tuple(spelled(mapKey(field.mapKey), faults), value)
    const unique = fc.uniqueArray(entry, { maxLength: 4, selector: ([name]) => name })
    const list = faults === 0 ? unique : fc.oneof(unique, fc.array(entry, { maxLength: 4 }))
    const map = list.map(entries => `{${entries.map(([name, text]) => `${name}:${text}`).join(',')}}`)
    return orElse(map, fc.constantFrom(...JUNK), faults)
  }
  return orElse(value, fc.constant('null'), 4)
}

/** Of one value, of a list's entry, of a map's value. */
export function valueJson(field: DescField, faults: number, depth: number): Text {
  if (field.message !== undefined) {
    return depth <= 0 ? fc.constant('{}') : arbitraryJson(field.message, faults, depth - 1)
  }
  return spelled(field.enum === undefined ? SCALARS[field.scalar as ScalarType] : enumSpellings(field), faults)
}

function enumSpellings({ enum: schema }: DescField): Spellings {
  const names = schema?.values.flatMap(({ name, number }) => [JSON.stringify(name), `${number}`]) ?? []
  return {
    usual: fc.constantFrom(...names, ...(schema?.open ? ['77', '-1'] : [])),
    odd: fc.oneof(fc.integer().map(String), fc.constantFrom('"OTHER"', '2147483648', '1.5', '"1"', '-0', '""')),
  }
}
