/** The values added to each rate, by its name. */
export const rates = new Map<string, boolean[]>()

/** Substitute for `Rate` of the module `k6/metrics`: records the values. */
export class Rate {
  readonly #values: boolean[]

  constructor(name: string) {
    this.#values = rates.get(name) ?? []
    rates.set(name, this.#values)
  }

  add(value: boolean): void {
    this.#values.push(value)
  }
}
