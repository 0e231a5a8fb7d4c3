/** Evaluates the rules of `buf.validate` on a request message, with paths and descriptions as those of our own rules. */
import { type DescMessage, type FileRegistry, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import type { Path } from '@bufbuild/protobuf/reflect'
import type { Violation as RuleViolation } from '@bufbuild/protovalidate'
import type { Violation } from '#runtime/status.ts'
import { isOutputOnly } from '../../contract/validation/field-behavior.ts'
import { hasValidateRules } from '../../contract/validation/validate-options.ts'
import { validatorOf } from '../../contract/validation/validator.ts'
import { utf8Violations } from './utf8-violations.ts'

/** @throws Error if a rule cannot be evaluated on the message, such as CEL that divides by a field that is 0. */
export type MessageValidation = (message: Message) => Violation[]

/**
 * Compiles the rules of a request message. Rules of an OUTPUT_ONLY field do not apply, because it is never set.
 * @param root the path of a violation of the message as a whole.
 * @returns undefined if neither the message nor a message in it has rules.
 */
export function compileValidation(
  schema: DescMessage,
  registry: FileRegistry,
  root: string,
): MessageValidation | undefined {
  if (!hasValidateRules(schema)) return undefined
  return message => {
    // As the upstream receives it: a float has the precision of 32 bits.
    const received = fromBinary(schema, toBinary(schema, message))
    const result = validatorOf(registry).validate(schema, received)
    if (result.kind === 'error') {
      const notUtf8 = utf8Violations(schema, received)
      if (notUtf8.length > 0) return notUtf8
      throw new Error(`${schema.typeName}: a rule cannot be evaluated: ${result.error.message}`, {
        cause: result.error,
      })
    }
    return (result.violations ?? []).filter(({ field }) => !field.some(isUnsetInRequests)).map(toViolation)
  }

  function toViolation(violation: RuleViolation): Violation {
    const description = describe(violation)
    return {
      field: pathOf(violation.field) || root,
      description: violation.forKey ? `has a key that is not valid: ${description}` : description,
    }
  }
}

function isUnsetInRequests(part: Path[number]): boolean {
  return part.kind === 'field' && isOutputOnly(part)
}

/** Returns the path in the form of the field rules: JSON names, entries of lists and maps in brackets. */
function pathOf(path: Path): string {
  let text = ''
  for (const part of path) {
    switch (part.kind) {
      case 'field':
        text += text === '' ? part.jsonName : `.${part.jsonName}`
        break
      case 'list_sub':
        text += `[${part.index}]`
        break
      case 'map_sub':
        text += `[${part.key}]`
        break
      case 'extension':
        text += `${text === '' ? '' : '.'}[${part.typeName}]`
      // A oneof has no name in JSON; the description names its members.
    }
  }
  return text
}

/** A message of a standard rule, such as `value is required` and `must be at least 3 characters`, or one of CEL. */
function describe({ message, ruleId, field }: RuleViolation): string {
  const last = field.at(-1)
  if (last?.kind === 'oneof') return `must have one of ${last.fields.map(({ jsonName }) => jsonName).join(', ')}`
  return (message || ruleId).replace(/^value (?=is )/, '')
}
