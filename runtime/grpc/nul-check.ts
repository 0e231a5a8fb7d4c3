/**
 * Finds NUL in the strings of a request. PostgreSQL cannot store U+0000 and fails the statement, so no service accepts
 * it. The check reads the message itself and not its field rules, so that it covers every field of every method.
 */
import { MAX_VIOLATIONS, type Violation } from '../status.ts'

const NUL = '\0'

/**
 * Returns a violation for each string that contains NUL, at most `MAX_VIOLATIONS`, with the path of its field. Keys of
 * maps count as strings; octets (`bytes`) may contain NUL.
 * @param message a message of ts-proto.
 */
export function findNul(message: object): Violation[] {
  const violations: Violation[] = []
  visit(message, '', violations)
  return violations
}

function visit(value: unknown, path: string, violations: Violation[]): void {
  if (typeof value === 'string') {
    if (value.includes(NUL)) report(path, violations)
  } else if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) visit(value[index], `${path}[${index}]`, violations)
  } else if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    visitFields(value as Record<string, unknown>, path, violations)
  }
}

function visitFields(fields: Record<string, unknown>, path: string, violations: Violation[]): void {
  const member = fields['$case']
  if (typeof member === 'string') {
    visit(fields['value'], parentOf(path) + member, violations)
    return
  }
  for (const name in fields) {
    if (name.includes(NUL)) report(path, violations)
    else visit(fields[name], path === '' ? name : `${path}.${name}`, violations)
  }
}

/** The JSON of a oneof has the member in place of the oneof. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('.') + 1)
}

function report(field: string, violations: Violation[]): void {
  if (violations.length < MAX_VIOLATIONS) violations.push({ field, description: 'contains NUL (U+0000)' })
}
