/**
 * What a service's tables.ts says otherwise than the database (its schema.ts), by the compiler: a union of lines, `never`
 * when there are none. Tables.ts may know more: that it never writes a column, or which texts there are where the database
 * takes any.
 */
import type { InsertType, SelectType, UpdateType } from 'kysely'

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
      : `${C} may be null, or not`)
  | ([NonNullable<Ours>] extends [NonNullable<Theirs>]
      ? [NonNullable<Theirs>] extends [NonNullable<Ours>]
        ? never
        : [string] extends [NonNullable<Theirs>]
          ? never
          : `${C} is of another type`
      : `${C} is of another type`)

type InWriting<C extends string, Ours, Theirs> =
  | ([InsertType<Ours>] extends [InsertType<Theirs>] ? never : `${C} is inserted otherwise`)
  | ([UpdateType<Ours>] extends [UpdateType<Theirs>] ? never : `${C} is updated otherwise`)
