/**
 * Finds errors of a CEL expression without evaluating it: syntax, and names that nothing defines. An evaluation finds
 * such a name only if it reaches it, and `@bufbuild/cel` has no type checker.
 */
import type { parse as parseCel } from '@bufbuild/cel'
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { loadCel } from './lazy-modules.ts'
import type { Types } from './validator.ts'

type Expression = NonNullable<ReturnType<typeof parseCel>['expr']>

/** The variables of a rule in a contract. `rule` and `rules` exist in predefined rules only. */
const VARIABLES = ['this', 'now']
const TYPE_NAMES = ['bool', 'bytes', 'double', 'int', 'list', 'map', 'null_type', 'string', 'type', 'uint', 'google']
/** The functions that protovalidate adds to CEL (https://protovalidate.com/reference/cel_extensions). */
const ADDED_FUNCTIONS = [
  ...[
    'getField',
    'isNan',
    'isInf',
    'isHostname',
    'isHostAndPort',
    'isEmail',
    'isIp',
    'isIpPrefix',
    'isUri',
    'isUriRef',
  ],
  ...['unique', 'contains', 'startsWith', 'endsWith', 'matches'],
]
/** Operators, such as `_&&_`, and functions of macros, such as `@not_strictly_false`. */
const OPERATOR = /^[_!@-]/

/**
 * @param types the types of the contract.
 * @param self the type of `this` if it is a message.
 * @returns a description of each error; an empty array if there is none.
 */
export function findCelErrors(expression: string, types: Types, self: DescMessage | undefined): string[] {
  const { parse, celEnv, strings } = loadCel()
  let parsed: Expression
  try {
    parsed = parse(expression).expr
  } catch (error) {
    return [(error as Error).message.replace('<input>:', '')]
  }
  const errors = new Set<string>()
  const { funcs } = celEnv({ funcs: [...strings] })
  visit(parsed, VARIABLES)
  return [...errors]

  function visit(expr: Expression | undefined, variables: readonly string[]): void {
    const kind = expr?.exprKind
    switch (kind?.case) {
      case 'identExpr':
        checkName(kind.value.name, variables)
        break
      case 'selectExpr':
        visit(kind.value.operand, variables)
        checkField(kind.value.operand, kind.value.field)
        break
      case 'callExpr':
        checkFunction(kind.value.function, kind.value.target)
        if (!isNamespace(kind.value.target)) visit(kind.value.target, variables)
        for (const argument of kind.value.args) visit(argument, variables)
        break
      case 'listExpr':
        for (const element of kind.value.elements) visit(element, variables)
        break
      case 'structExpr':
        for (const { keyKind, value } of kind.value.entries) {
          if (keyKind.case === 'mapKey') visit(keyKind.value, variables)
          visit(value, variables)
        }
        break
      case 'comprehensionExpr': {
        const { iterVar, iterVar2, accuVar, iterRange, accuInit, loopCondition, loopStep, result } = kind.value
        visit(iterRange, variables)
        visit(accuInit, variables)
        for (const part of [loopCondition, loopStep, result]) visit(part, [...variables, iterVar, iterVar2, accuVar])
      }
    }
  }

  function checkName(name: string, variables: readonly string[]): void {
    // The first part of a qualified name, such as that of an enum value.
    const isPackage = () => [...types].some(type => type.typeName.startsWith(`${name}.`))
    if (!variables.includes(name) && !TYPE_NAMES.includes(name) && !isPackage()) errors.add(`${name} is not defined`)
  }

  function checkFunction(name: string, target: Expression | undefined): void {
    const qualified = isNamespace(target) ? `strings.${name}` : name
    const isKnown = OPERATOR.test(name) || ADDED_FUNCTIONS.includes(name) || funcs.find(qualified) !== undefined
    if (!isKnown) errors.add(`there is no function ${qualified}`)
  }

  function checkField(operand: Expression | undefined, name: string): void {
    const message = messageOf(operand)
    if (message !== undefined && fieldOf(message, name) === undefined) {
      errors.add(`${message.typeName} has no field ${name}`)
    }
  }

  /** Returns the message type of `this`, `this.a` and so on; undefined for other expressions. */
  function messageOf(expr: Expression | undefined): DescMessage | undefined {
    const kind = expr?.exprKind
    if (kind?.case === 'identExpr') return kind.value.name === 'this' ? checkable(self) : undefined
    if (kind?.case !== 'selectExpr') return undefined
    const parent = messageOf(kind.value.operand)
    const field = parent && fieldOf(parent, kind.value.field)
    return field?.fieldKind === 'message' ? checkable(field.message) : undefined
  }
}

/** The function `strings.quote` is the only one with a qualified name. */
function isNamespace(target: Expression | undefined): boolean {
  return target?.exprKind.case === 'identExpr' && target.exprKind.value.name === 'strings'
}

/** In CEL, a wrapper is its value and a Struct a map. */
function checkable(message: DescMessage | undefined): DescMessage | undefined {
  return message?.typeName.startsWith('google.protobuf.') ? undefined : message
}

function fieldOf(message: DescMessage, name: string): DescField | undefined {
  return message.fields.find(field => field.name === name)
}
