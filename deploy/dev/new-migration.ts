/** `make migration NAME=add-something SERVICE=user-svc`: creates a migration and prints its path. */
import path from 'node:path'
import { parseService, ROOT } from './migrate.ts'
import { scaffoldMigration } from './migration-scaffold.ts'

const [name = '', service] = process.argv.slice(2)
try {
  const file = await scaffoldMigration(path.join(ROOT, parseService(service), 'migrations'), name)
  console.log(path.relative(process.cwd(), file))
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
