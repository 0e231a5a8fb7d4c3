/** What is compiled for a message type is shared by all methods that have the type in them. */
import type { DescMessage, FileRegistry } from '@bufbuild/protobuf'

type Compile<Compiled> = (registry: FileRegistry, schema: DescMessage) => Compiled

export function oncePerType<Parameters extends unknown[], Result>(
  compile: Compile<(...parameters: Parameters) => Result>,
): Compile<(...parameters: Parameters) => Result> {
  const known = new WeakMap<FileRegistry, Map<DescMessage, (...parameters: Parameters) => Result>>()
  return (registry, schema) => {
    const ofRegistry = known.get(registry) ?? new Map()
    known.set(registry, ofRegistry)
    const found = ofRegistry.get(schema)
    if (found !== undefined) return found
    // Set before the type is compiled, so that one that contains itself finds itself.
    ofRegistry.set(schema, (...parameters: Parameters) => compiled(...parameters))
    const compiled = compile(registry, schema)
    ofRegistry.set(schema, compiled)
    return compiled
  }
}
