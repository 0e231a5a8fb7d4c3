/**
 * The migration files of a service: `<timestamp>-<description>.ts`, each with `up` and `down`, ordered by name.
 *
 * The checksum covers all bytes of a file, comments included, so an applied file is never edited. For the same reason a
 * migration imports packages only: the checksum would not cover other source files.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Kysely } from 'kysely'

/** Exports of a migration file. */
export interface MigrationModule {
  up(db: Kysely<unknown>): Promise<void>
  down(db: Kysely<unknown>): Promise<void>
  /**
   * Default true. Set to false to run `up` and `down` outside of a transaction, for statements such as `create index
   * concurrently`. A failure is then not rolled back, so both must be repeatable.
   */
  transaction?: boolean
}

export interface MigrationFile {
  /** File name without extension. */
  readonly name: string
  /** SHA-256 of the file, in hexadecimal. */
  readonly checksum: string
  load(): Promise<MigrationModule>
}

const NAME = /^\d{14}-[a-z0-9-]+\.ts$/

/** Lists the migration files of a folder. @throws Error for a file whose name is not that of a migration. */
export async function readMigrationFiles(folder: string): Promise<MigrationFile[]> {
  const files = (await readdir(folder)).sort()
  return Promise.all(
    files.map(async file => {
      if (!NAME.test(file)) {
        throw new Error(`Invalid migration file name ${join(folder, file)}: must be like 20261231235959-description.ts`)
      }
      return {
        name: file.slice(0, -'.ts'.length),
        checksum: createHash('sha256')
          .update(await readFile(join(folder, file)))
          .digest('hex'),
        load: () => import(pathToFileURL(join(folder, file)).href),
      }
    }),
  )
}
