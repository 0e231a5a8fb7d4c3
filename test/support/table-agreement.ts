/** Compares the table types of a service (tables.ts) with the database (generated schema.ts) at compile time. */
import type { InsertType, SelectType, UpdateType } from 'kysely'

/**
 * A union of messages, one for each difference; `never` if there is none. tables.ts may be stricter than the database:
 * it may exclude writes to a column, and narrow `string` to a union of values.
 */
export type Disagreements<Tables, Schema> =
  | `${Name<Exclude<keyof Schema, keyof Tables>>} is not in tables.ts`
  | `${Name<Exclude<keyof Tables, keyof Schema>>} is not in the database`
  | { [T in keyof Tables & keyof Schema]: InTable<Name<T>, Tables[T], Schema[T]> }[keyof Tables & keyof Schema]

type Name<T> = T & string

type InTable<T extends string, Ours, Theirs> =
  | `${T}.${Name<Exclude<keyof Theirs, keyof Ours>>} is not in tables.ts`
  | `${T}.${Name<Exclude<keyof Ours, keyof Theirs>>} is not in the database`
  | {
      [C in keyof Ours & keyof Theirs]:
        | InReading<`${T}.${Name<C>}`, SelectType<Ours[C]>, SelectType<Theirs[C]>>
        | InWriting<`${T}.${Name<C>}`, Ours[C], Theirs[C]>
    }[keyof Ours & keyof Theirs]

type InReading<C extends string, Ours, Theirs> =
  | ([null extends Ours ? true : false] extends [null extends Theirs ? true : false]
      ? never
      : `${C} differs in nullability`)
  | ([NonNullable<Ours>] extends [NonNullable<Theirs>]
      ? [NonNullable<Theirs>] extends [NonNullable<Ours>]
        ? never
        : [string] extends [NonNullable<Theirs>]
          ? never
          : `${C} has another type`
      : `${C} has another type`)

type InWriting<C extends string, Ours, Theirs> =
  | ([InsertType<Ours>] extends [InsertType<Theirs>] ? never : `${C} has another insert type`)
  | ([UpdateType<Ours>] extends [UpdateType<Theirs>] ? never : `${C} has another update type`)
