/**
 * The validator of @bufbuild/protovalidate, the reference for `buf.validate`: it evaluates every rule and describes the
 * violations. One validator per contract, because it compiles CEL once (0.1 s of CPU for the rules of all types).
 */
import {
  clearField,
  clone,
  create,
  createFileRegistry,
  createRegistry,
  type DescFile,
  type DescMessage,
  type FileRegistry,
  type Message,
  type ScalarType,
  setExtension,
} from '@bufbuild/protobuf'
import {
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  FieldDescriptorProto_Label as Label,
} from '@bufbuild/protobuf/wkt'
import type { Validator, ValidatorOptions } from '@bufbuild/protovalidate'
import {
  type FieldRules,
  FieldRulesSchema,
  field as fieldOption,
} from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { RE2JS } from 're2js'
import { loadProtovalidate } from './lazy-modules.ts'
import type { Predicate } from './standard-rules.ts'

/** The types of a contract, among them the extensions that define predefined rules. */
export type Types = NonNullable<ValidatorOptions['registry']>

const validators = new WeakMap<Types, Validator>()

/** Returns the validator of a contract. */
export function validatorOf(types: Types): Validator {
  let validator = validators.get(types)
  if (validator === undefined) {
    validator = loadProtovalidate().createValidator({ registry: types, regexMatch: matchRe2, legacyRequired: true })
    validators.set(types, validator)
  }
  return validator
}

const importedTypes = new WeakMap<DescFile, Types>()

/** Returns the types of a file and of all files that it imports. Predefined rules that the file uses are among them. */
export function typesOf(file: DescFile): Types {
  let types = importedTypes.get(file)
  if (types === undefined) {
    types = createRegistry(...withImports(file))
    importedTypes.set(file, types)
  }
  return types
}

function withImports(file: DescFile, files = new Set<DescFile>()): Set<DescFile> {
  if (!files.has(file)) {
    files.add(file)
    for (const imported of file.dependencies) withImports(imported, files)
  }
  return files
}

const patterns = new Map<string, RE2JS>()

/** CEL may build patterns from a request, so the cache is bounded. */
const MAX_PATTERNS = 1000

/** Matches `string.pattern`, `bytes.pattern` and `matches()` of CEL. @throws Error if the pattern is not RE2. */
function matchRe2(pattern: string, text: string): boolean {
  let compiled = patterns.get(pattern)
  if (compiled === undefined) {
    if (patterns.size >= MAX_PATTERNS) patterns.clear()
    compiled = RE2JS.compile(pattern)
    patterns.set(pattern, compiled)
  }
  return compiled.test(text)
}

let holders = 0

/**
 * Returns a predicate that lets the validator evaluate the rules of a scalar value: formats, CEL and predefined rules.
 * It evaluates them on a message with the value as its only field (0.3 us for an e-mail address). `ignore` is left to the
 * caller.
 * @param registry the types of the contract.
 */
export function evaluateRules(rules: FieldRules, type: ScalarType, registry: FileRegistry): Predicate {
  const validator = validatorOf(registry)
  const holder = createHolder(rules, type)
  const message: Message & { value?: unknown } = create(holder)
  return value => {
    message.value = value
    return validator.validate(holder, message).kind === 'valid'
  }
}

/** Creates the message type. Its field has presence, so that the rules apply to every value. */
function createHolder(rules: FieldRules, type: ScalarType): DescMessage {
  const options = create(FieldOptionsSchema)
  const always = clone(FieldRulesSchema, rules)
  clearField(always, FieldRulesSchema.field.ignore)
  setExtension(options, fieldOption, always)
  const name = `Value${++holders}`
  const file = create(FileDescriptorProtoSchema, {
    name: `gateway/${name}.proto`,
    package: 'gateway.validation',
    syntax: 'proto2',
    messageType: [
      {
        name,
        field: [{ name: 'value', jsonName: 'value', number: 1, label: Label.OPTIONAL, type: type as number, options }],
      },
    ],
  })
  const types = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }))
  return types.getMessage(`gateway.validation.${name}`) as DescMessage
}
