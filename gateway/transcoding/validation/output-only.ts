/** Clears the OUTPUT_ONLY fields of a request message (AIP-203), at all levels. */
import type { DescField, DescMessage, Message } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import type { Route } from '../../contract/route-table.ts'
import { isOutputOnly, outputOnlyFields } from '../../contract/validation/field-behavior.ts'
import { nestedMessages } from './nested-messages.ts'

/**
 * Whether the path binds an OUTPUT_ONLY field, such as the name of the resource that is updated. The path identifies the
 * resource, so this field is kept.
 */
export function bindsOutputOnly({ template, descriptor }: Pick<Route, 'template' | 'descriptor'>): boolean {
  return template.variables.some(({ fieldPath }) => {
    let message: DescMessage | undefined = descriptor.input
    return fieldPath.some(name => {
      const field: DescField | undefined = message?.fields.find(candidate => candidate.name === name)
      message = field?.message
      return field !== undefined && isOutputOnly(field)
    })
  })
}

/** @returns undefined if no message in the request has such a field. */
export function compileOutputOnly({
  template,
  descriptor: { input },
}: Pick<Route, 'template' | 'descriptor'>): ((message: Message) => void) | undefined {
  if (outputOnlyFields(input).size === 0) return undefined
  const bound = template.variables.map(({ fieldPath }) => fieldPath.join('.'))
  return message => clear(reflect(input, message), '', bound)
}

/** @param path proto names from the request to the message, with a trailing dot. Empty for the request. */
function clear(content: ReflectMessage, path: string, bound: readonly string[]): void {
  for (const field of content.fields) {
    if (!content.isSet(field)) continue
    const fieldPath = path + field.name
    const isBound = bound.some(name => name === fieldPath || name.startsWith(`${fieldPath}.`))
    if (isOutputOnly(field) && !isBound) content.clear(field)
    else for (const [nested] of nestedMessages(content, field)) clear(nested, `${fieldPath}.`, bound)
  }
}
