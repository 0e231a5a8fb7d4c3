/** Checks that a JSON value has the structure of a message, and describes each field that does not fit. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { tooFewEntries } from '#runtime/grpc/rules.ts'
import { MAX_VIOLATIONS, type Violation } from '#runtime/status.ts'
import { fieldsByName } from '../binding/json-fields.ts'
import { TEXT_FORMATS } from './text-formats.ts'
import { AT_MOST_ONE, type NameGroup, validationSchema } from './validation-schema.ts'

/** Returns one violation per field that does not fit, at most `MAX_VIOLATIONS`; an empty array if all fit. */
export type StructureCheck = (json: unknown) => Violation[]

/**
 * Creates the structure check of a message. The JSON Schema is compiled at the first call, not here: compiling takes
 * milliseconds, and the boot of a large contract would take seconds.
 */
export function compileStructureCheck(schema: DescMessage): StructureCheck {
  let validate: ValidateFunction | undefined
  return json => {
    validate ??= compiler.compile(validationSchema(schema))
    return validate(json) ? [] : violationsOf(schema, validate.errors ?? [])
  }
}

const compiler = new Ajv2020({
  allErrors: true,
  // Adds to each error its schema, whose `description` states what is expected.
  verbose: true,
  allowUnionTypes: true,
  // Ignores inherited properties such as `toString`.
  ownProperties: true,
  formats: TEXT_FORMATS,
  // A test validates the schemas. Validating them here takes 50 ms.
  meta: false,
  validateSchema: false,
})
compiler.addKeyword({
  keyword: AT_MOST_ONE,
  type: 'object',
  schemaType: 'array',
  errors: true,
  compile: compileAtMostOne,
})

function compileAtMostOne(groups: readonly NameGroup[]) {
  const validate = (json: Record<string, unknown>): boolean => {
    const errors: Partial<ErrorObject>[] = []
    for (const { names, nullable, description } of groups) {
      const given = names.filter(name => Object.hasOwn(json, name) && (json[name] !== null || !nullable.includes(name)))
      if (given.length > 1) {
        errors.push({ keyword: AT_MOST_ONE, message: description, params: { name: given.at(-1) } })
      }
    }
    validate.errors = errors
    return errors.length === 0
  }
  validate.errors = [] as Partial<ErrorObject>[]
  return validate
}

function violationsOf(schema: DescMessage, errors: readonly ErrorObject[]): Violation[] {
  const violations = new Map<string, Violation>()
  for (const error of errors) {
    // An invalid key also causes an error for the key as a whole, which has the better description.
    if (error.propertyName !== undefined) continue
    const { pointer, description } = describe(error)
    const field = fieldPathOf(schema, pointer)
    if (!violations.has(field)) violations.set(field, { field, description })
    if (violations.size === MAX_VIOLATIONS) break
  }
  return [...violations.values()]
}

function describe({ keyword, instancePath, params, parentSchema, message, data }: ErrorObject): {
  pointer: readonly string[]
  description: string
} {
  const pointer = instancePath.split('/').slice(1).map(unescapePointer)
  switch (keyword) {
    case 'additionalProperties':
      return { pointer: [...pointer, params['additionalProperty']], description: 'is not known' }
    case 'propertyNames':
      return {
        pointer: [...pointer, params['propertyName']],
        description: `has a key that is not ${parentSchema?.['propertyNames'].description}`,
      }
    case 'minItems':
    case 'minProperties':
      return { pointer, description: tooFewEntries(Object.keys(data as object).length, params['limit']) }
    case AT_MOST_ONE:
      return { pointer: [...pointer, params['name']], description: message ?? '' }
    default:
      return { pointer, description: `must be ${parentSchema?.['description']}` }
  }
}

/** Decodes a token of a JSON Pointer (RFC 6901 section 4). */
function unescapePointer(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** Returns the field path in the form of the field rules: JSON names, entries of lists and maps in brackets. */
function fieldPathOf(schema: DescMessage, pointer: readonly string[]): string {
  let path = ''
  let message: DescMessage | undefined = schema
  let container: DescField | undefined
  for (const token of pointer) {
    if (container !== undefined) {
      path += `[${token}]`
      message = container.message
      container = undefined
      continue
    }
    const field: DescField | undefined = message && fieldsByName(message).get(token)
    const name = field?.jsonName ?? token
    path = path === '' ? name : `${path}.${name}`
    if (field?.fieldKind === 'list' || field?.fieldKind === 'map') container = field
    else message = field?.message
  }
  return path === '' ? 'body' : path
}
