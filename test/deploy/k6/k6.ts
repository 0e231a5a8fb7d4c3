/** Results of all checks, in order. */
export const checks: { readonly name: string; readonly passed: boolean }[] = []

/** Substitute for `check` of the module `k6`: records the results. @returns whether all passed. */
export function check<T>(value: T, sets: Record<string, (value: T) => boolean>): boolean {
  const results = Object.entries(sets).map(([name, test]) => ({ name, passed: test(value) }))
  checks.push(...results)
  return results.every(({ passed }) => passed)
}
