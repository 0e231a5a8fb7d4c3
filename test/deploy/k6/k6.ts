/** Of `k6`: checks, and how each went. */
export const checks: { readonly name: string; readonly passed: boolean }[] = []

export function check<T>(value: T, sets: Record<string, (value: T) => boolean>): boolean {
  const results = Object.entries(sets).map(([name, test]) => ({ name, passed: test(value) }))
  checks.push(...results)
  return results.every(({ passed }) => passed)
}
