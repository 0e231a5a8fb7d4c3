/**
 * The migrations of a service: `<timestamp>-<what-it-does>.ts`, each with `up` and `down`, in the order of their names.
 *
 * A file counts as the bytes that it has, comments and all: what "does not matter" in a file that has run in production
 * would be a judgement, and nobody need make it. So such a file imports nothing of ours, whose changes it would not show.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Kysely } from 'kysely'

export interface MigrationModule {
  up(db: Kysely<unknown>): Promise<void>
  down(db: Kysely<unknown>): Promise<void>
  /**
   * False runs both outside of a transaction, for statements that refuse one. What breaks halfway is then not undone, so
   * both must be able to run again from the beginning.
   */
  transaction?: boolean
}

export interface MigrationFile {
  readonly name: string
  /** SHA-256 of its bytes, in hex. */
  readonly checksum: string
  load(): Promise<MigrationModule>
}

const NAME = /^\d{14}-[a-z0-9-]+\.ts$/

/** @throws for a file that is not named as a migration is. */
export async function readMigrationFiles(folder: string): Promise<MigrationFile[]> {
  const files = (await readdir(folder)).sort()
  return Promise.all(
    files.map(async file => {
      if (!NAME.test(file))
        throw new Error(`${join(folder, file)} is no migration: those are named 20261231235959-do.ts`)
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
