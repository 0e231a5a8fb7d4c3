/** Names of the OpenAPI document that stay distinct in generated clients, which drop punctuation and change case. */

/** Gives names that differ in more than case and punctuation. */
export interface UniqueNames {
  /** Returns `name`; if it is taken, the name with the lowest free number from 2. */
  take(name: string): string
}

/** @param reserved names that are never given. */
export function createUniqueNames(reserved: readonly string[] = []): UniqueNames {
  const taken = new Set(reserved.map(identifier))
  return {
    take(name) {
      let unique = name
      for (let number = 2; taken.has(identifier(unique)); number++) unique = `${name}${number}`
      taken.add(identifier(unique))
      return unique
    },
  }
}

function identifier(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, '').toLowerCase()
}
