/** JSON objects to messages on the wire. */
import type { DescMessage, FileRegistry } from '@bufbuild/protobuf'
import { canBeCompiled } from './compilable.ts'
import { compileObjectBytes, type MessageBytes } from './object-bytes.ts'
import { oncePerType } from './once-per-type.ts'
import { unsure } from './unsure.ts'
import { wellKnownBytes } from './well-known-bytes.ts'

/** @returns what is unsure about everything, for a type that is not compiled. */
export const messageBytes = oncePerType((registry: FileRegistry, schema: DescMessage): MessageBytes => {
  if (!canBeCompiled(schema, registry)) return unsure
  return wellKnownBytes(schema) ?? compileObjectBytes(schema, nested => messageBytes(registry, nested), false)
})
