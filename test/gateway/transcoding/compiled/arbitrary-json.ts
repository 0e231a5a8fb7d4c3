/**
 * Generates ProtoJSON text, valid and invalid: values of the wrong type, unknown and duplicate names, numbers with too
 * many digits. It is generated as text, because JSON.stringify cannot write much of that.
 */
import type { DescField, DescMessage, ScalarType } from '@bufbuild/protobuf'
import { isWrapperDesc } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { mapKey, SCALARS, type Spellings, WELL_KNOWN } from './arbitrary-json-values.ts'

type Text = fc.Arbitrary<string>

const WRONG_VALUES = ['null', 'true', '0', '1.5', '""', '"x"', '[]', '[null]', '{}', '{"a":1}', '1e999', '{"@type":""}']

/**
 * Generates ProtoJSON of a message.
 * @param faultPercent percentage of values that are unusual, most of which are invalid.
 * @param depth levels of nested messages.
 */
export function arbitraryJson(schema: DescMessage, faultPercent: number, depth = 3): Text {
  if (isWrapperDesc(schema)) return spelled(SCALARS[schema.fields[0].scalar], faultPercent)
  const wellKnown = WELL_KNOWN[schema.typeName]
  return wellKnown === undefined ? objectJson(schema, faultPercent, depth) : spelled(wellKnown, faultPercent)
}

function spelled({ usual, unusual }: Spellings, faultPercent: number): Text {
  return orElse(usual, fc.oneof(unusual, unusual, unusual, fc.constantFrom(...WRONG_VALUES)), faultPercent)
}

function orElse(text: Text, other: Text, faultPercent: number): Text {
  return fc.oneof({ weight: 100 - faultPercent, arbitrary: text }, { weight: faultPercent, arbitrary: other })
}

function objectJson(schema: DescMessage, faultPercent: number, depth: number): Text {
  const members = schema.members.flatMap(member => {
    const fields = member.kind === 'oneof' ? member.fields : [member]
    const possible = fields.filter(field => depth > 0 || field.message === undefined)
    if (possible.length === 0) return []
    const [entry, ...more] = possible.map(field => entryJson(field, faultPercent, depth))
    return entry === undefined ? [] : [fc.option(fc.oneof(entry, ...more), { nil: undefined, freq: 4 })]
  })
  const duplicates = schema.fields.map(field => entryJson(field, faultPercent, Math.min(depth, 1)))
  const unusualEntry = fc.oneof(fc.constantFrom('"unknown":1', '"__proto__":{}', '"":0'), ...duplicates)
  const entries = fc
    .tuple(orElse(fc.constant(''), unusualEntry, faultPercent), ...members)
    .chain(list => fc.shuffledSubarray(list, { minLength: list.length }))
  const object = entries.map(list => `{${list.filter(text => text !== undefined && text !== '').join(',')}}`)
  return orElse(object, fc.constantFrom(...WRONG_VALUES), faultPercent >> 2)
}

function entryJson(field: DescField, faultPercent: number, depth: number): Text {
  const { name, jsonName } = field
  const key = fc.constantFrom(jsonName, jsonName, name).map(text => JSON.stringify(text))
  return fc.tuple(orElse(key, key.map(escaped), 3), fieldJson(field, faultPercent, depth)).map(entry => entry.join(':'))
}

/** Replaces the first letter of a JSON string by an escape of the same letter. */
function escaped(json: string): string {
  return json.replace(/^"([a-z])/, (_, letter: string) => `"\\u00${letter.charCodeAt(0).toString(16)}`)
}

/** Generates ProtoJSON of a field: a value, list or map. */
export function fieldJson(field: DescField, faultPercent: number, depth: number): Text {
  const value = valueJson(field, faultPercent, depth)
  if (field.fieldKind === 'list') {
    const list = fc.array(value, { maxLength: 4 }).map(entries => `[${entries.join(', ')}]`)
    return orElse(list, fc.constantFrom(...WRONG_VALUES), faultPercent)
  }
  if (field.fieldKind === 'map') {
    const entry = fc.tuple(spelled(mapKey(field.mapKey), faultPercent), value)
    const unique = fc.uniqueArray(entry, { maxLength: 4, selector: ([name]) => name })
    const list = faultPercent === 0 ? unique : fc.oneof(unique, fc.array(entry, { maxLength: 4 }))
    const map = list.map(entries => `{${entries.map(([name, text]) => `${name}:${text}`).join(',')}}`)
    return orElse(map, fc.constantFrom(...WRONG_VALUES), faultPercent)
  }
  return orElse(value, fc.constant('null'), 4)
}

/** Generates ProtoJSON of a singular value or of an entry of a list or map. */
export function valueJson(field: DescField, faultPercent: number, depth: number): Text {
  if (field.message !== undefined) {
    return depth <= 0 ? fc.constant('{}') : arbitraryJson(field.message, faultPercent, depth - 1)
  }
  return spelled(field.enum === undefined ? SCALARS[field.scalar as ScalarType] : enumSpellings(field), faultPercent)
}

function enumSpellings({ enum: schema }: DescField): Spellings {
  const names = schema?.values.flatMap(({ name, number }) => [JSON.stringify(name), `${number}`]) ?? []
  return {
    usual: fc.constantFrom(...names, ...(schema?.open ? ['77', '-1'] : [])),
    unusual: fc.oneof(fc.integer().map(String), fc.constantFrom('"OTHER"', '2147483648', '1.5', '"1"', '-0', '""')),
  }
}
