/**
 * Checks at boot that the rules of `buf.validate` in the requests of a contract can be evaluated. @bufbuild/protovalidate
 * finds most errors only when it evaluates a rule, and then does not name the field. The check therefore gives it each
 * field on its own, with a value: a message type that has only this field, and only stubs of the messages in it.
 */
import { create, type DescField, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect, scalarZeroValue } from '@bufbuild/protobuf/reflect'
import { ContractError } from '#runtime/grpc/contract.ts'
import { findCelErrors } from './cel-check.ts'
import {
  containedMessages,
  type FieldRules,
  hasOwnValidateRules,
  messageRulesOf,
  oneofRulesOf,
  validateRulesOf,
} from './validate-options.ts'
import { type Types, validatorOf } from './validator.ts'

/**
 * Returns a function that checks the rules of a request message and of the messages in it. It reports each message type
 * once, also if several methods have it.
 */
export function createRulesCheck(): (message: DescMessage, types: Types) => void {
  const seen = new Set<DescMessage>()
  return (message, types) => {
    const errors: string[] = []
    for (const type of containedMessages(message)) {
      if (seen.has(type)) continue
      seen.add(type)
      if (hasOwnValidateRules(type)) errors.push(...errorsOf(type, types))
    }
    if (errors.length > 0) throw new ContractError(errors.join('\n    '))
  }
}

function* errorsOf(message: DescMessage, types: Types): Iterable<string> {
  const messageRules = messageRulesOf(message)
  if (messageRules !== undefined) {
    const error = unknownRules(messageRules, 'buf.validate.message')
    if (error !== undefined) yield `${message.typeName}: ${error}`
    for (const rule of celOf(messageRules)) yield* celErrors(message.typeName, rule, types, message)
    if (!celOf(messageRules).some(isDynamic)) {
      yield* named(message.typeName, evaluationError(withoutFieldRules(message), types))
    }
  }
  for (const oneof of message.oneofs) {
    const rules = oneofRulesOf(oneof)
    const error = rules && unknownRules(rules, 'buf.validate.oneof')
    if (error !== undefined) yield `${message.typeName}.${oneof.name}: ${error}`
  }
  for (const field of message.fields) {
    const rules = validateRulesOf(field)
    if (rules === undefined) continue
    const name = `${message.typeName}.${field.name}`
    const before = [...ruleErrors(name, rules, field, types)]
    yield* before
    // An evaluation would repeat the same errors in other words.
    if (before.length === 0 && !celOf(rules).some(isDynamic))
      yield* named(name, evaluationError(onlyField(message, field), types))
  }
}

function* named(name: string, error: string | undefined): Iterable<string> {
  if (error !== undefined) yield `${name}: ${error}`
}

interface Rule {
  readonly id: string
  readonly expression: string
}

function celOf({ cel, celExpression }: { cel: readonly Rule[]; celExpression: readonly string[] }): Rule[] {
  return [...cel, ...celExpression.map(expression => ({ id: expression, expression }))]
}

/** Whether types in the expression are known only when it is evaluated. */
function isDynamic({ expression }: Rule): boolean {
  return /\bdyn\s*\(/.test(expression)
}

function* ruleErrors(name: string, rules: FieldRules, field: DescField, types: Types): Iterable<string> {
  yield* named(name, unknownRules(rules, 'buf.validate.field'))
  const isSingularMessage = field.fieldKind === 'message' ? field.message : undefined
  for (const rule of celOf(rules)) yield* celErrors(name, rule, types, isSingularMessage)
  const { type } = rules
  const nested =
    type.case === 'repeated' ? [type.value.items] : type.case === 'map' ? [type.value.keys, type.value.values] : []
  for (const entry of nested) {
    if (entry === undefined) continue
    yield* named(name, unknownRules(entry, 'buf.validate.field'))
    for (const rule of celOf(entry)) yield* celErrors(name, rule, types, undefined)
  }
}

const WRONG_VERSION = 'a rule of another version of protovalidate; use version 1 of buf/validate/validate.proto'

function unknownRules({ $unknown }: Message, option: string): string | undefined {
  if ($unknown === undefined || $unknown.length === 0) return undefined
  return `${WRONG_VERSION} (field ${$unknown.map(({ no }) => no).join(', ')} of ${option})`
}

function* celErrors(name: string, rule: Rule, types: Types, self: DescMessage | undefined): Iterable<string> {
  for (const error of findCelErrors(rule.expression, types, self)) yield `${name}: CEL rule "${rule.id}": ${error}`
}

/**
 * Evaluates the rules on one value. Only errors that do not depend on the value count: a division by zero does, an
 * operator without an overload for its operands does not.
 */
function evaluationError(message: DescMessage, types: Types): string | undefined {
  const sample = create(message)
  const content = reflect(message, sample)
  for (const field of message.fields) setSample(content, field)
  const result = validatorOf(types).validate(message, sample)
  if (result.kind !== 'error') return undefined
  const { name, message: reason } = result.error
  return name === 'CompilationError' || INDEPENDENT_OF_VALUE.test(reason) ? withoutPrefix(reason) : undefined
}

/** Messages of @bufbuild/cel and re2js. An operand that is null stands for an unset wrapper or Value. */
const INDEPENDENT_OF_VALUE =
  /^found no matching overload for '\S+' applied to '(?!.*null)|^unbound function|^field not found|^unknown type|wanted either bool or string$|^error parsing regexp/

function withoutPrefix(reason: string): string {
  return reason.replace(/ on field \S+$/, '')
}

/** Sets the field to its zero value, a list or map to one such entry. */
function setSample(content: ReflectMessage, field: DescField): void {
  switch (field.fieldKind) {
    case 'list':
      content.get(field).add(sampleOf(field))
      return
    case 'map':
      content.get(field).set(zeroOf(field.mapKey) as string, sampleOf(field))
      return
    default:
      content.set(field, sampleOf(field))
  }
}

function sampleOf(field: DescField): never {
  const value =
    field.message !== undefined
      ? reflect(field.message, create(field.message))
      : field.enum !== undefined
        ? (field.enum.values[0]?.number ?? 0)
        : zeroOf(field.scalar ?? ScalarType.STRING)
  return value as never
}

function zeroOf(type: ScalarType): unknown {
  return scalarZeroValue(type, false)
}

/** Returns a message type with one field. Messages in the field have no rules of their own. */
function onlyField(message: DescMessage, field: DescField): DescMessage {
  return { ...withoutOptions(message), fields: [withStub(field)], oneofs: [] }
}

/** Returns the message type with its own rules, and without those of its fields. */
function withoutFieldRules(message: DescMessage): DescMessage {
  const fields = message.fields.map(field => withStub(withoutOptions(field)))
  return { ...message, fields, oneofs: [] }
}

function withStub(field: DescField): DescField {
  if (field.message === undefined) return field
  // The fields remain, because CEL may read them.
  const fields = field.message.fields.map(withoutOptions)
  return { ...field, message: { ...withoutOptions(field.message), fields, oneofs: [] } } as DescField
}

function withoutOptions<Desc extends DescField | DescMessage>(desc: Desc): Desc {
  const { options: _, ...proto } = desc.proto
  return { ...desc, proto }
}
