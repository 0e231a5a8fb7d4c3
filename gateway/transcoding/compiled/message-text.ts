/** Messages on the wire to their JSON text. */
import { type DescMessage, type FileRegistry, fromBinary, toJson } from '@bufbuild/protobuf'
import { canBeCompiled } from './compilable.ts'
import { compileObject, MAX_DEPTH, type MessageText, type TextOf } from './object-text.ts'
import { oncePerType } from './once-per-type.ts'
import { unsure } from './unsure.ts'
import { wellKnownText } from './well-known-text.ts'

/** Of a type that is not compiled, the reference writes the text. */
export const messageText = oncePerType((registry: FileRegistry, schema: DescMessage): MessageText => {
  if (!canBeCompiled(schema, registry)) return referenceText(registry, schema)
  const textOf: TextOf = nested => messageText(registry, nested)
  const wellKnown = wellKnownText(schema, textOf)
  if (wellKnown !== undefined) return wellKnown
  const { read, write } = compileObject(schema, textOf)
  return (source, start, end, depth) => write(read(source, start, end, depth))
})

/** One message within another by the reference: a type that is not compiled costs no more than its share. */
function referenceText(registry: FileRegistry, schema: DescMessage): MessageText {
  return (source, start, end, depth) => {
    if (depth > MAX_DEPTH) unsure()
    try {
      const bytes = source.buffer.subarray(start, end)
      const message = fromBinary(schema, bytes, { recursionLimit: MAX_DEPTH + 1 - depth })
      return JSON.stringify(toJson(schema, message, { registry, alwaysEmitImplicit: true }))
    } catch {
      // The reference will say it of the whole message.
      return unsure()
    }
  }
}
