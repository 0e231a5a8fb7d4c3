/** Tells what of a JSON value does not have the shape of a message, field by field and in plain words. */
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import type { Violation } from '#runtime/status.ts'
import { fieldsByName } from '../binding/json-fields.ts'
import { TEXT_FORMATS } from './text-formats.ts'
import { AT_MOST_ONE, type NameGroup, validationSchema } from './validation-schema.ts'

/** A violation for each field that is wrong, a hundred at most; none means that the structure is right. */
export type StructureCheck = (json: unknown) => Violation[]

// An answer need not be as long as a hostile request.
const MAX_VIOLATIONS = 100

export function compileStructureCheck(schema: DescMessage): StructureCheck {
  // A schema takes milliseconds to compile: at the method's first request, so that a large contract boots fast.
  let validate: ValidateFunction | undefined
  return json => {
    validate ??= compiler.compile(validationSchema(schema))
    return validate(json) ? [] : violationsOf(schema, validate.errors ?? [])
  }
}

const compiler = new Ajv2020({
  allErrors: true,
  // Errors bring their schema, whose description says what is expected.
  verbose: true,
  allowUnionTypes: true,
  // `{}` does not have the property `toString`, although it inherits it.
  ownProperties: true,
  formats: TEXT_FORMATS,
  // A test checks our schemas; here it would take 50 ms.
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
    for (const { names, unlessNull, complaint } of groups) {
      const given = names.filter(
        name => Object.hasOwn(json, name) && (json[name] !== null || !unlessNull.includes(name)),
      )
      if (given.length > 1) {
        errors.push({ keyword: AT_MOST_ONE, message: complaint, params: { name: given.at(-1) } })
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
    // What is wrong within a key is said of the key as a whole.
    if (error.propertyName !== undefined) continue
    const { pointer, description } = describe(error)
    const field = fieldPathOf(schema, pointer)
    if (!violations.has(field)) violations.set(field, { field, description })
    if (violations.size === MAX_VIOLATIONS) break
  }
  return [...violations.values()]
}

function describe({ keyword, instancePath, params, parentSchema, message }: ErrorObject): {
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
    case AT_MOST_ONE:
      return { pointer: [...pointer, params['name']], description: message ?? '' }
    default:
      return { pointer, description: `must be ${parentSchema?.['description']}` }
  }
}

/** RFC 6901 section 4. */
function unescapePointer(token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** The path as the rules give it: JSON names, entries of lists and maps in brackets. */
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
