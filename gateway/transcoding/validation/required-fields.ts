/**
 * Finds REQUIRED fields (AIP-203) that a request does not set. In the resource of an update with a mask, only the fields
 * that the mask names are required: the others do not change.
 */
import type { DescField, Message } from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import type { FieldMask } from '@bufbuild/protobuf/wkt'
import type { Violation } from '#runtime/status.ts'
import type { Route } from '../../contract/route-table.ts'
import { onlyMessage, resourceOf, updateMaskOf } from '../../contract/update-mask.ts'
import { hasRequiredFields, isRequiredByBehavior } from '../../contract/validation/field-behavior.ts'
import { nestedMessages } from './nested-messages.ts'

/** A message in the resource of an update: the paths of the mask, and the proto path from the resource. */
interface Update {
  readonly mask: readonly string[]
  readonly path: string
}

/** @returns undefined if no message in the request has such a field. */
export function compileRequiredFields(route: Route): ((message: Message) => Violation[]) | undefined {
  const { input } = route.descriptor
  if (!hasRequiredFields(input)) return undefined
  return message => {
    const violations: Violation[] = []
    visit(reflect(input, message), '', undefined)
    return violations

    function visit(parent: ReflectMessage, path: string, update: Update | undefined): void {
      const mask = update === undefined ? updateMaskOf(parent.desc) : undefined
      const resource = mask && (parent.desc === input ? resourceOf(route) : onlyMessage(parent.desc))
      for (const field of parent.fields) {
        const fieldPath = join(path, field.jsonName)
        const inside = update && { ...update, path: join(update.path, field.name) }
        if (!parent.isSet(field)) {
          const isDemanded = inside === undefined || covers(inside)
          if (isDemanded && isRequiredByBehavior(field))
            violations.push({ field: fieldPath, description: 'is required' })
          continue
        }
        const next = mask !== undefined && field === resource ? { mask: pathsOf(parent, mask), path: '' } : inside
        for (const [nested, suffix] of nestedMessages(parent, field)) visit(nested, fieldPath + suffix, next)
      }
    }
  }
}

function pathsOf(parent: ReflectMessage, mask: DescField): readonly string[] {
  return parent.isSet(mask) ? ((parent.get(mask) as ReflectMessage).message as FieldMask).paths : []
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

/** Whether the mask names the field or a message that contains it. */
function covers({ mask, path }: Update): boolean {
  return mask.some(name => name === '*' || name === path || path.startsWith(`${name}.`))
}
