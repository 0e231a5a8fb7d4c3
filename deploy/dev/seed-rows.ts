/**
 * Sample users, documents, comments and grants, generated row by row with faker.
 *
 * The distributions resemble a system in use, because search and reports are measured on this data: word frequencies of
 * English, a few users with many documents and many users with few, shared tags and departments, some deleted rows.
 * Faker picks words uniformly from about 3,500, so the words come from a list ranked by frequency in Wikipedia.
 */
import { base, en, Faker } from '@faker-js/faker'
import { dictionary } from '@zxcvbn-ts/language-en'
import { createZipf } from './zipf.ts'

export interface SeedSize {
  /** Number of users, at least 1. */
  users: number
  /** Number of documents; there are as many comments. */
  documents: number
  /** Seed of the random numbers. The same seed, size and `now` give the same rows. */
  seed: number
  /** Upper bound of all times, in milliseconds since the epoch. The oldest row is two years older. */
  now: number
}

/** Value of a column: null is NULL, a list is a `text[]`. */
export type Value = string | number | null | readonly string[]

/** Rows of a table, in the order of `columns`. */
export interface SeedTable {
  readonly columns: readonly string[]
  /** Generates the rows. To be called once. */
  rows(): Iterable<readonly Value[]>
}

export type TableName = 'users_all' | 'documents_all' | 'comments_all' | 'document_grants'

const DAY_MS = 86_400_000
const AGE_MS = 730 * DAY_MS
const DEPARTMENTS = 20
const TAGS = 200

const words: readonly string[] = dictionary['wikipedia-en'].filter(word => /^[a-z]+$/.test(word))

/** The tables in the order in which they reference each other; their rows must be generated in this order. */
export function seedTables(size: SeedSize): Record<TableName, SeedTable> {
  const start = size.now - AGE_MS
  const faker = new Faker({ locale: [en, base], seed: size.seed })
  const userIds = Array.from({ length: size.users }, () => faker.string.uuid())
  const word = createZipf(words, faker)
  // The most active owner has about 1 % of the documents. By Zipf's law without flatness it would be 10 %.
  const owner = createZipf(userIds, faker, size.users / 100)
  const tag = createZipf(words.slice(100, 100 + TAGS), faker)
  const isOneIn = (number: number) => faker.number.int(number - 1) === 0
  const timeOf = (index: number, count: number) => start + Math.floor((index / count) * AGE_MS)
  const timeAfter = (time: number) => faker.number.int({ min: time, max: size.now - 1 })
  // Comments and grants refer to these.
  const documents: { id: string; time: number }[] = []

  function* users() {
    for (const [index, id] of userIds.entries()) {
      const [first, last] = [faker.person.firstName(), faker.person.lastName()]
      const created = timeOf(index, size.users)
      const isDeactivated = isOneIn(50)
      yield [
        id,
        `${localPart(first)}.${localPart(last)}.${index}@example.com`,
        `${first} ${last}`,
        faker.helpers.weightedArrayElement(ROLES),
        departmentOf(faker),
        iso(created),
        isDeactivated ? iso(timeAfter(created)) : null,
        isDeactivated ? id : null,
      ]
    }
  }

  function* rowsOfDocuments() {
    for (let index = 0; index < size.documents; index++) {
      const created = timeOf(index, size.documents)
      const id = faker.string.uuid({ version: 7, refDate: created })
      documents.push({ id, time: created })
      const visibility = faker.helpers.weightedArrayElement(VISIBILITIES)
      const isDeleted = isOneIn(33)
      const by = owner()
      const tags = Array.from({ length: faker.number.int(3) }, tag)
      yield [
        id,
        by,
        capitalize(sentence(word, faker.number.int({ min: 2, max: 7 }))),
        text(word, faker.number.int({ min: 20, max: 99 }), faker),
        [...new Set(tags)],
        visibility,
        departmentOf(faker) || (visibility === 'department' ? departmentName(0) : ''),
        iso(created),
        iso(timeAfter(created)),
        isDeleted ? iso(size.now - faker.number.int(29 * DAY_MS - 1)) : null,
        isDeleted ? by : null,
      ]
    }
  }

  function* comments() {
    for (let index = 0; index < size.documents; index++) {
      const { id, time } = faker.helpers.arrayElement(documents)
      const created = timeAfter(time)
      const sentiment = isOneIn(3) ? null : faker.number.int({ min: -100, max: 100 }) / 100
      yield [
        faker.string.uuid({ version: 7, refDate: created }),
        id,
        faker.helpers.arrayElement(userIds),
        text(word, faker.number.int({ min: 5, max: 24 }), faker),
        sentiment,
        iso(created),
      ]
    }
  }

  function* grants() {
    const user = () => faker.helpers.arrayElement(userIds)
    for (const { id, time } of documents) {
      if (!isOneIn(20)) continue
      const grantees = new Set(Array.from({ length: faker.number.int({ min: 1, max: 3 }) }, user))
      for (const grantee of grantees) yield [id, grantee, isOneIn(4) ? 'write' : 'read', user(), iso(time)]
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

const ROLES = [
  { value: 'user', weight: 900 },
  { value: 'editor', weight: 80 },
  { value: 'moderator', weight: 18 },
  { value: 'admin', weight: 2 },
] as const

const VISIBILITIES = [
  { value: 'private', weight: 60 },
  { value: 'department', weight: 25 },
  { value: 'public', weight: 15 },
] as const

const departmentName = (number: number) => `department-${number}`

/** @returns a department, or '' (none) in 2 of 22 cases. */
function departmentOf(faker: Faker): string {
  const number = faker.number.int(DEPARTMENTS + 1)
  return number < DEPARTMENTS ? departmentName(number) : ''
}

/** @returns sentences of 6 to 15 words, `length` words in total. */
function text(word: () => string, length: number, faker: Faker): string {
  let written = ''
  for (let left = length; left > 0; ) {
    const count = Math.min(left, faker.number.int({ min: 6, max: 15 }))
    written += `${written === '' ? '' : ' '}${capitalize(sentence(word, count))}.`
    left -= count
  }
  return written
}

function sentence(word: () => string, length: number): string {
  let written = word()
  for (let count = 1; count < length; count++) written += ` ${word()}`
  return written
}

const capitalize = (word: string) => word.charAt(0).toUpperCase() + word.slice(1)
const localPart = (name: string) => name.toLowerCase().replaceAll(/[^a-z]/g, '')
const iso = (time: number) => new Date(time).toISOString()
