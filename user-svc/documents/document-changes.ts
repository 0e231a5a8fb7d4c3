/** What an update asks for: FieldMask semantics (AIP-134) over the fields of a document that can be changed. */
import type { DocumentChanges as Given } from '#proto/docs/v1/docs.ts'
import { invalidArgument } from '#runtime/status.ts'
import type { Visibility } from '../tables.ts'
import type { DocumentChanges } from './document-repository.ts'

const FIELDS = ['title', 'body', 'tags', 'visibility', 'department'] as const

type Field = (typeof FIELDS)[number]

/**
 * @param mask paths of the fields that change, `*` for all; undefined for those that are set.
 * @throws StatusError INVALID_ARGUMENT for a path that is no such field, and for a title or visibility that is emptied.
 */
export function changesOf(given: Given, mask: readonly string[] | undefined): DocumentChanges {
  const fields = mask === undefined ? FIELDS.filter(field => given[field].length > 0) : fieldsOf(mask)
  const emptied = fields.filter(field => (field === 'title' || field === 'visibility') && given[field] === '')
  if (emptied.length > 0) {
    throw invalidArgument(emptied.map(field => ({ field: `document.${field}`, description: 'cannot be emptied' })))
  }
  const changes = Object.fromEntries(fields.map(field => [field, given[field]])) as DocumentChanges
  return changes.tags === undefined ? changes : { ...changes, tags: distinct(changes.tags) }
}

function fieldsOf(mask: readonly string[]): Field[] {
  if (mask.includes('*')) {
    if (mask.length === 1) return [...FIELDS]
    throw invalidArgument([{ field: 'updateMask', description: 'has * beside other paths' }])
  }
  const unknown = mask.filter(path => !FIELDS.includes(path as Field))
  if (unknown.length === 0) return FIELDS.filter(field => mask.includes(field))
  throw invalidArgument(
    unknown.map(path => ({
      field: 'updateMask',
      description: `${path} is not one of ${FIELDS.join(', ')}`,
    })),
  )
}

/** Once each, in the order in which they came. */
export function distinct(tags: readonly string[]): string[] {
  return [...new Set(tags)]
}

/** Whether it changes who may read the document, which is for who may share it. */
export function changesReaders({ visibility, department }: DocumentChanges): boolean {
  return visibility !== undefined || department !== undefined
}

export function visibilityOf(text: string): Visibility {
  // The contract's rules have let no other string through.
  return (text || 'private') as Visibility
}
