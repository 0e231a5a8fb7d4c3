/**
 * The query parameter `$alt` of Google's REST clients, one of their system parameters
 * (cloud.google.com/apis/docs/system-parameters). They send `$alt=json;enum-encoding=int` with each request.
 */
import { parseQuery } from './query.ts'

/** The name of the parameter. No proto field can have it. */
export const ALT = '$alt'

/** The accepted values, and whether the enum values of the response are then numbers. */
const VALUES: ReadonlyMap<string, boolean> = new Map([
  ['json', false],
  ['json;enum-encoding=int', true],
])

/** Returns the description of the violation; undefined if the value is accepted. */
export function checkAlt(value: string): string | undefined {
  return VALUES.has(value) ? undefined : `must be ${[...VALUES.keys()].join(' or ')}`
}

/** Whether the enum values of the response must be numbers. @param query percent-encoded. */
export function asksForIntegerEnums(query: string): boolean {
  // Few queries pass this test, which takes much less time than parsing.
  if (!/alt|%/.test(query)) return false
  for (const [name, value] of parseQuery(query, [])) if (name === ALT && VALUES.get(value) === true) return true
  return false
}
