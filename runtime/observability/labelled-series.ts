import type { Labels } from './metric-snapshot.ts'

/** A metric with labels: one series for each combination of label values. */
export interface LabelledSeries<T> {
  /**
   * Returns the series of the given label values, creating it on first use. Series are never removed, so a value that a
   * client can choose must not be a label.
   * @param values one per label, in the order of the label names.
   */
  labels(...values: string[]): T
}

/** Creates a metric with labels whose series are created by `create`. */
export function createLabelledSeries<T>(
  names: readonly string[],
  create: (labels: Labels) => T,
): LabelledSeries<T> & { all(): T[] } {
  const series = new Map<string, T>()
  return {
    labels(...values) {
      const key = values.join('\n')
      let found = series.get(key)
      if (found === undefined) {
        found = create(Object.fromEntries(names.map((name, index) => [name, values[index] ?? ''])))
        series.set(key, found)
      }
      return found
    },
    all: () => [...series.values()],
  }
}
