import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { findBreaches, MOST_RUNTIME_FILES } from './rules.ts'
import { readSourceFile } from './source-file.ts'

const root = path.resolve(import.meta.dirname, '../..')

t.test('the sources keep to the layout', async t => {
  const paths = await Array.fromAsync(
    glob('{proto/gen,runtime,gateway,auth-svc,user-svc,deploy,test}/**/*.{ts,js}', { cwd: root }),
  )
  t.ok(paths.length > 50, `${paths.length} files are looked at`)
  const files = paths.map(file => readSourceFile(file, readFileSync(path.join(root, file), 'utf8')))
  t.strictSame(findBreaches(files), [])
})

const breaches: { what: string; path: string; text: string; says: RegExp }[] = [
  {
    what: 'a service imports another',
    path: 'gateway/app.ts',
    text: "import { open } from '../auth-svc/server.ts'",
    says: /gateway may import only/,
  },
  {
    what: 'a service imports only a type of another',
    path: 'user-svc/server.ts',
    text: "import type { Account } from '../auth-svc/tables.ts'",
    says: /user-svc may import only/,
  },
  {
    what: 'a service names a type of another in place',
    path: 'user-svc/server.ts',
    text: "export type A = import('../auth-svc/tables.ts').Account",
    says: /user-svc may import only/,
  },
  {
    what: 'a service loads another when it needs it',
    path: 'auth-svc/server.ts',
    text: "const other = await import('../user-svc/server.ts')",
    says: /auth-svc may import only/,
  },
  {
    what: 'a service hands on what another has',
    path: 'auth-svc/server.ts',
    text: "export { open } from '../user-svc/server.ts'",
    says: /auth-svc may import only/,
  },
  {
    what: 'a service runs a worker of another',
    path: 'auth-svc/server.ts',
    text: "new Worker(new URL('../user-svc/worker.ts', import.meta.url))",
    says: /auth-svc may import only/,
  },
  {
    what: 'a service imports a test',
    path: 'gateway/app.ts',
    text: "import { start } from '../test/support/stores.ts'",
    says: /gateway may import only/,
  },
  {
    what: 'runtime imports a service',
    path: 'runtime/redis.ts',
    text: "import { settings } from '../gateway/config.ts'",
    says: /runtime may import only/,
  },
  {
    what: 'a gateway folder imports one that builds on it',
    path: 'gateway/contract/route-table.ts',
    text: "import { bind } from '../transcoding/request-binding.ts'",
    says: /gateway\/contract may import only/,
  },
  {
    what: 'a gateway folder imports the app',
    path: 'gateway/edge/cache.ts',
    text: "import { buildApp } from '../app.ts'",
    says: /gateway\/edge may import only/,
  },
  {
    what: 'a repository imports handlers',
    path: 'user-svc/user-repository.ts',
    text: "import { createUserHandlers } from './user-handlers.ts'",
    says: /imports point from main/,
  },
  {
    what: 'the domain imports the server',
    path: 'user-svc/account-access.ts',
    text: "import { createUserServer } from './server.ts'",
    says: /imports point from main/,
  },
  {
    what: 'a migration imports what may change',
    path: 'user-svc/migrations/20261231235959-do.ts',
    text: "import { SCHEMA } from '../tables.ts'",
    says: /checksum would not show/,
  },
  {
    what: 'a setting is read inside',
    path: 'gateway/edge/cache.ts',
    text: 'const size = process.env.CACHE_SIZE',
    says: /reads process\.env/,
  },
  {
    what: 'a setting is read inside, in another spelling',
    path: 'auth-svc/server.ts',
    text: "const { SIZE } = process['env']",
    says: /reads process\.env/,
  },
  {
    what: 'a setting is read inside, taken apart',
    path: 'auth-svc/server.ts',
    text: 'const { env: { SIZE } } = process',
    says: /reads process\.env/,
  },
  {
    what: 'a setting is read inside, by import',
    path: 'user-svc/server.ts',
    text: "import { env } from 'node:process'",
    says: /reads process\.env/,
  },
  { what: 'a default export', path: 'auth-svc/mail.ts', text: 'export default {}', says: /default export/ },
  {
    what: 'a default export by name',
    path: 'auth-svc/mail.ts',
    text: 'const mail = 1; export { mail as default }',
    says: /default export/,
  },
  { what: 'a barrel', path: 'gateway/edge/index.ts', text: "export * from './cache.ts'", says: /barrel/ },
]

for (const { what, path, text, says } of breaches) {
  t.test(`a breach is found: ${what}`, async t => {
    const found = findBreaches([readSourceFile(path, text)])
    t.ok(
      found.some(breach => says.test(breach)),
      `it says: ${found.join('; ')}`,
    )
  })
}

t.test('a breach is found: one file too many in runtime', async t => {
  const files = Array.from({ length: MOST_RUNTIME_FILES + 1 }, (_, index) =>
    readSourceFile(`runtime/part-${index}.ts`, 'export const a = 1'),
  )
  t.match(findBreaches(files), [/^runtime\/ has \d+ files/])
  t.strictSame(findBreaches(files.slice(1)), [])
})

t.test('what the layout allows is no breach', async t => {
  const allowed = [
    readSourceFile('gateway/main.ts', "import { buildApp } from './app.ts'; console.log(process.env.HOME)"),
    readSourceFile('gateway/app.ts', "import { registerRoutes } from './transcoding/routes.ts'"),
    readSourceFile('gateway/edge/cache.ts', "import { HttpProblem } from '../transcoding/problem.ts'"),
    readSourceFile('gateway/transcoding/routes.ts', "import { authorize } from '../edge/authorization.ts'"),
    readSourceFile('user-svc/server.ts', "import { createUserHandlers } from './user-handlers.ts'"),
    readSourceFile('user-svc/user-handlers.ts', "import { createRedis } from '#runtime/redis.ts'; import 'pg'"),
    readSourceFile('test/support/system.ts', "import { settings } from '../../gateway/config.ts'; process.env.CI"),
  ]
  t.strictSame(findBreaches(allowed), [])
})
