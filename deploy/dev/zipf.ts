import type { Faker } from '@faker-js/faker'

/**
 * Returns a function that draws from values by Zipf's law: the n-th has the weight `1 / (n + flatness)`. A draw takes
 * constant time; faker's weighted draw is linear in the number of values.
 * @param values at least one value, sorted by descending frequency.
 */
export function createZipf<T>(values: readonly T[], faker: Faker, flatness = 0): () => T {
  const weightOf = (index: number) => 1 / (index + 1 + flatness)
  // The inverse cumulative distribution in equal steps. Values rarer than one step share the last step uniformly.
  const steps = 1 << 18
  const total = values.reduce((sum, _, index) => sum + weightOf(index), 0)
  const table = new Uint32Array(steps)
  let cumulated = 0
  let index = 0
  for (let step = 0; step < steps; step++) {
    while (index < values.length - 1 && cumulated + weightOf(index) < (step / steps) * total) {
      cumulated += weightOf(index)
      index++
    }
    table[step] = index
  }
  const tail = table[steps - 1] as number
  return () => {
    const drawn = table[faker.number.int(steps - 1)] as number
    return values[drawn === tail ? faker.number.int({ min: tail, max: values.length - 1 }) : drawn] as T
  }
}
