import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { readMigrationFiles } from '#runtime/postgres/migration-files.ts'
import { scaffoldMigration } from '../../deploy/dev/migration-scaffold.ts'

t.test(
  'a new migration has the current time, or one second after a later migration, and exports up and down',
  async t => {
    const folder = await mkdtemp(path.join(import.meta.dirname, '.migrations-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const names = ['first', 'add-something', 'a-day-earlier']
    const times = ['2026-11-27T23:59:59.500Z', '2026-11-27T23:59:59.900Z', '2026-11-26T00:00:00Z']
    for (const [at, name] of names.entries()) await scaffoldMigration(folder, name, new Date(times[at] ?? ''))
    const files = await readMigrationFiles(folder)
    t.same(
      files.map(file => file.name),
      ['20261127235959-first', '20261128000000-add-something', '20261128000001-a-day-earlier'],
    )
    t.match(await files[0]?.load(), { up: Function, down: Function })

    for (const name of ['', 'Add', 'add_it', '../add', 'add-']) {
      await t.rejects(scaffoldMigration(folder, name), { message: /^NAME must describe the change in kebab case/ })
    }
  },
)
