/**
 * Users, documents, comments and grants as a filled system has them, row by row: words as frequent as in English, a few
 * people who write much and many who write little, tags and departments that many share, some of it deleted.
 */
import { dictionary } from '@zxcvbn-ts/language-en'
import { createRandom, createZipf, type Random } from './seed-random.ts'

export interface SeedSize {
  users: number
  documents: number
  /** The same number makes the same data. */
  seed: number
  /** Milliseconds since the epoch: when the latest of it was written. */
  now: number
}

/** A column's text; null is NULL, a list an array of text. */
export type Value = string | number | null | readonly string[]

export interface SeedTable {
  readonly columns: readonly string[]
  rows(): Iterable<readonly Value[]>
}

export type TableName = 'users_all' | 'documents_all' | 'comments_all' | 'document_grants'

const DAY_MS = 86_400_000
const AGE_MS = 730 * DAY_MS
const DEPARTMENTS = 20
const TAGS = 200

const words: readonly string[] = dictionary['wikipedia-en'].filter(word => /^[a-z]+$/.test(word))
const names = { first: dictionary['firstnames-en'], last: dictionary['lastnames-en'] }

/** In the order in which they refer to each other. */
export function seedTables(size: SeedSize): Record<TableName, SeedTable> {
  const start = size.now - AGE_MS
  const random = createRandom(size.seed)
  const userIds = Array.from({ length: size.users }, () => random.uuid())
  const word = createZipf(words, random)
  // Who writes most has some hundred documents, where Zipf's law would have it be a tenth of all.
  const owner = createZipf(userIds, random, size.users / 100)
  const tag = createZipf(words.slice(100, 100 + TAGS), random)
  const timeOf = (index: number, count: number) => start + Math.floor((index / count) * AGE_MS)
  // Kept, since comments and grants refer to them: 36 characters each.
  const documents: { id: string; time: number }[] = []

  function* users() {
    for (const [index, id] of userIds.entries()) {
      const [first, last] = [random.pick(names.first), random.pick(names.last)]
      const created = timeOf(index, size.users)
      const isClosed = random.below(50) === 0
      yield [
        id,
        `${first}.${last}.${index}@example.com`,
        `${capital(first)} ${capital(last)}`,
        roleOf(random),
        departmentOf(random),
        iso(created),
        isClosed ? iso(created + random.below(size.now - created)) : null,
        isClosed ? id : null,
      ]
    }
  }

  function* rowsOfDocuments() {
    for (let index = 0; index < size.documents; index++) {
      const created = timeOf(index, size.documents)
      const id = random.uuid(created)
      documents.push({ id, time: created })
      const visibility = visibilityOf(random)
      const isDeleted = random.below(33) === 0
      const by = owner()
      const tags = Array.from({ length: random.below(4) }, tag)
      yield [
        id,
        by,
        capital(sentence(word, 2 + random.below(6))),
        text(word, 20 + random.below(80), random),
        [...new Set(tags)],
        visibility,
        departmentOf(random) || (visibility === 'department' ? departmentName(0) : ''),
        iso(created),
        iso(created + random.below(size.now - created)),
        isDeleted ? iso(size.now - random.below(29 * DAY_MS)) : null,
        isDeleted ? by : null,
      ]
    }
  }

  function* comments() {
    for (let index = 0; index < size.documents; index++) {
      const { id, time } = random.pick(documents)
      const created = time + random.below(size.now - time)
      const sentiment = random.below(3) === 0 ? null : Math.round((random.next() * 2 - 1) * 100) / 100
      yield [
        random.uuid(created),
        id,
        random.pick(userIds),
        text(word, 5 + random.below(20), random),
        sentiment,
        iso(created),
      ]
    }
  }

  function* grants() {
    for (const { id, time } of documents) {
      if (random.below(20) !== 0) continue
      const granted = new Set(Array.from({ length: 1 + random.below(3) }, () => random.pick(userIds)))
      for (const user of granted)
        yield [id, user, random.below(4) === 0 ? 'write' : 'read', random.pick(userIds), iso(time)]
    }
  }

  return {
    users_all: {
      columns: ['id', 'email', 'name', 'role', 'department', 'created_at', 'deleted_at', 'deleted_by'],
      rows: users,
    },
    documents_all: {
      columns: [
        'id',
        'owner_id',
        'title',
        'body',
        'tags',
        'visibility',
        'department',
        'created_at',
        'updated_at',
        'deleted_at',
        'deleted_by',
      ],
      rows: rowsOfDocuments,
    },
    comments_all: { columns: ['id', 'document_id', 'author_id', 'body', 'sentiment', 'created_at'], rows: comments },
    document_grants: { columns: ['document_id', 'user_id', 'access', 'granted_by', 'created_at'], rows: grants },
  }
}

function roleOf(random: Random): string {
  const draw = random.below(1000)
  if (draw < 900) return 'user'
  return draw < 980 ? 'editor' : draw < 998 ? 'moderator' : 'admin'
}

function visibilityOf(random: Random): string {
  const draw = random.below(100)
  return draw < 60 ? 'private' : draw < 85 ? 'department' : 'public'
}

const departmentName = (number: number) => `department-${number}`

function departmentOf(random: Random): string {
  const number = random.below(DEPARTMENTS + 2)
  return number < DEPARTMENTS ? departmentName(number) : ''
}

function text(word: () => string, length: number, random: Random): string {
  let written = ''
  for (let left = length; left > 0; ) {
    const part = Math.min(left, 6 + random.below(10))
    written += `${written === '' ? '' : ' '}${capital(sentence(word, part))}.`
    left -= part
  }
  return written
}

function sentence(word: () => string, length: number): string {
  let written = word()
  for (let count = 1; count < length; count++) written += ` ${word()}`
  return written
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1)
const iso = (time: number) => new Date(time).toISOString()
