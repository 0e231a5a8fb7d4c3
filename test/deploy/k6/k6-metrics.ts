/** Of `k6/metrics`: rates, and what was added to each. */
export const rates = new Map<string, boolean[]>()

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
