/** The fields that UpdateDocument changes: FieldMask semantics (AIP-134) over the mutable fields of a document. */
import type { DocumentChanges as ChangesMessage } from '#proto/docs/v1/docs.ts'
import { invalidArgument } from '#runtime/status.ts'
import type { Visibility } from '../tables.ts'
import type { DocumentChanges } from './document-repository.ts'

const FIELDS = ['title', 'body', 'tags', 'visibility', 'department'] as const

type Field = (typeof FIELDS)[number]

/**
 * @param mask paths of the changed fields, or `*` for all; undefined selects the fields that are not empty.
 * @throws StatusError INVALID_ARGUMENT for an unknown path, `*` beside other paths, or an empty title or visibility.
 */
export function toDocumentChanges(message: ChangesMessage, mask: readonly string[] | undefined): DocumentChanges {
  const fields = mask === undefined ? FIELDS.filter(field => message[field].length > 0) : parseMask(mask)
  const emptied = fields.filter(field => (field === 'title' || field === 'visibility') && message[field] === '')
  if (emptied.length > 0) {
    throw invalidArgument(emptied.map(field => ({ field: `document.${field}`, description: 'must not be empty' })))
  }
  const changes = Object.fromEntries(fields.map(field => [field, message[field]])) as DocumentChanges
  return changes.tags === undefined ? changes : { ...changes, tags: distinct(changes.tags) }
}

function parseMask(mask: readonly string[]): Field[] {
  if (mask.includes('*')) {
    if (mask.length === 1) return [...FIELDS]
    throw invalidArgument([{ field: 'updateMask', description: 'must contain either * or field names, not both' }])
  }
  const unknown = mask.filter(path => !FIELDS.includes(path as Field))
  if (unknown.length === 0) return FIELDS.filter(field => mask.includes(field))
  throw invalidArgument(
    unknown.map(path => ({
      field: 'updateMask',
      description: `unknown path ${path}; use ${FIELDS.join(', ')}`,
    })),
  )
}

/** Removes duplicates and keeps the order of first occurrence. */
export function distinct(tags: readonly string[]): string[] {
  return [...new Set(tags)]
}

/** Whether read access changes, which requires the action `share`. */
export function changesReaders({ visibility, department }: DocumentChanges): boolean {
  return visibility !== undefined || department !== undefined
}

/** Default: `private`. */
export function toVisibility(text: string): Visibility {
  // Request validation admits no other value.
  return (text || 'private') as Visibility
}
