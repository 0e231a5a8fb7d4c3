/** What the name and the comment of a field say about its values. */
import { createHash } from 'node:crypto'
import type { DescField, DescMessage } from '@bufbuild/protobuf'
import { commentOf } from '../proto-comments.ts'

/** Returns the words of a name in lower case, separated by spaces: `owner_id` and `ownerId` are `owner id`. */
export function wordsOf(name: string): string {
  return name
    .replace(/([a-z\d])([A-Z])|([A-Z])([A-Z][a-z])/g, '$1$3 $2$4')
    .replaceAll('_', ' ')
    .trim()
    .toLowerCase()
}

const QUALIFIER =
  /(?: (?:request|response|reply|input|summary|record|node|info|details|figures|entry|data|changes|filter))+$/
const VERB =
  /^(?:(?:batch|bulk|get|list|search|create|add|insert|update|patch|put|set|delete|remove|restore|end|erase|export|report) )+/

/** Returns what the `id` or `name` of a message identifies: `user` for User and for GetUserRequest. */
function entityOf({ name }: DescMessage): string {
  const words = wordsOf(name)
  const noun = words.replace(QUALIFIER, '')
  const isRequest = / request$/.test(words)
  const [first = words, ...rest] = (isRequest ? noun.replace(VERB, '') : noun).split(' ')
  return (isRequest ? first : (rest.at(-1) ?? first)).replace(/(?<=[^s])s$/, '')
}

/** Returns what a field identifies: `user` for the field `user_id`, and for `id` of the message User. */
export function subjectOf(field: DescField): string {
  const words = wordsOf(field.name).replace(/ ?\b(?:ids?|uuids?|(?:display )?names?)$/, '')
  return words === '' ? (field.parent === undefined ? 'item' : entityOf(field.parent)) : words
}

/** Returns a UUID (version 4) that is the same for the same text, so that examples refer to each other. */
export function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** A comment that is a list of values, such as "`read` (default) or `write`". */
const LIST_OF_VALUES = /^`([^`\s]+)`(?=\s*(?:[,.;(]|or\b|and\b|$))/
/** A comment that gives a value, such as "for example `Europe/Zurich`" or "Always `Bearer`". */
const GIVEN_VALUE =
  /(?:\bfor example,?|\bsuch as|\be\.g\.,?|\balways|\bformat(?: is)?:?|\bform(?: is)?:?|:)\s+`([^`\s]+)`/gi

/** Returns values that the comment of a field names. */
export function valuesInComment(field: DescField): string[] {
  const comment = commentOf(field)?.replaceAll('\n', ' ') ?? ''
  const values = [LIST_OF_VALUES.exec(comment), ...comment.matchAll(GIVEN_VALUE)].flatMap(match => match?.[1] ?? [])
  // Placeholders of a resource name: `projects/{project}`.
  return values.map(value => value.replace(/\{(\w+)\}/g, '$1-1')).filter(value => !/[{}<>[\]*]/.test(value))
}

/** Returns the default value of a number that the comment of its field names, as in "Default 50.". */
export function numberInComment(field: DescField): number | undefined {
  const [, text] = /\bdefault(?: is|:)? (-?\d[\d,]*(?:\.\d+)?)(?=\W|$)/i.exec(commentOf(field) ?? '') ?? []
  return text === undefined ? undefined : Number(text.replaceAll(',', ''))
}

/** Whether a field is the name of a person, by its comment. */
export function isPersonName(field: DescField): boolean {
  return /^Display name\b/.test(commentOf(field) ?? '')
}

/** Whether the comment of a field says that its values are UUIDs. */
export function isUuid(field: DescField): boolean {
  return /\bUUIDs?\b/.test(commentOf(field) ?? '')
}
