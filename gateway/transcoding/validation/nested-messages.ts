import type { DescField } from '@bufbuild/protobuf'
import type { ReflectMessage } from '@bufbuild/protobuf/reflect'

/**
 * Yields the messages in a field that is set, each with the part of its path after the name of the field: `[0]` for an
 * entry of a list or map, else nothing.
 */
export function* nestedMessages(parent: ReflectMessage, field: DescField): Iterable<[ReflectMessage, string]> {
  if (field.message === undefined) return
  switch (field.fieldKind) {
    case 'message':
      yield [parent.get(field), '']
      break
    case 'list':
      for (const [index, entry] of parent.get(field).entries()) yield [entry as ReflectMessage, `[${index}]`]
      break
    case 'map':
      for (const [key, entry] of parent.get(field).entries()) yield [entry as ReflectMessage, `[${key}]`]
  }
}
