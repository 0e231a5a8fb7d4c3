import { readFileSync } from 'node:fs'
import { glob } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { checkLayout, findCycles } from './rules.ts'
import { readSourceFile } from './source-file.ts'

const root = path.resolve(import.meta.dirname, '../..')

t.test('no source file violates the layout and no imports form a cycle', async t => {
  const paths = await Array.fromAsync(
    glob('{proto/gen,runtime,gateway,auth-svc,user-svc,deploy,test}/**/*.{ts,js}', { cwd: root }),
  )
  for (const file of ['runtime/status.ts', 'gateway/main.ts', 'auth-svc/main.ts', 'user-svc/main.ts']) {
    t.ok(paths.includes(file), `${file} is checked`)
  }
  const files = paths.map(file => readSourceFile(file, readFileSync(path.join(root, file), 'utf8')))
  t.strictSame(checkLayout(files), [])
  t.strictSame(findCycles(files), [], 'no import cycle')
})

t.test('the layout check reports files that import each other in a cycle', async t => {
  const read = (path: string, text: string) => readSourceFile(path, text)
  const cycle = [
    read('gateway/http/a.ts', "import { b } from './b.ts'"),
    read('gateway/http/b.ts', "import type { C } from '../../gateway/http/c.ts'; import { d } from './d.ts'"),
    read('gateway/http/c.ts', "export type C = import('./b.ts').B"),
    read('gateway/http/d.ts', "import 'pg'; import { status } from '#runtime/status.ts'"),
  ]
  t.strictSame(findCycles(cycle), ['gateway/http/b.ts -> gateway/http/c.ts -> gateway/http/b.ts'])
  t.strictSame(findCycles([read('gateway/http/a.ts', "export * from './a.ts'")]), [
    'gateway/http/a.ts -> gateway/http/a.ts',
  ])
  t.strictSame(
    findCycles(cycle.filter(({ path }) => !path.endsWith('c.ts'))),
    [],
    'imports that meet in one file are no cycle',
  )
})

const invalidFiles: { title: string; path: string; text: string; message: RegExp }[] = [
  {
    title: 'a service that imports another service',
    path: 'gateway/app.ts',
    text: "import { open } from '../auth-svc/server.ts'",
    message: /gateway may import only/,
  },
  {
    title: 'a service that imports a type of another service',
    path: 'user-svc/server.ts',
    text: "import type { Account } from '../auth-svc/tables.ts'",
    message: /user-svc may import only/,
  },
  {
    title: 'an inline type import of another service',
    path: 'user-svc/server.ts',
    text: "export type A = import('../auth-svc/tables.ts').Account",
    message: /user-svc may import only/,
  },
  {
    title: 'a dynamic import of another service',
    path: 'auth-svc/server.ts',
    text: "const other = await import('../user-svc/server.ts')",
    message: /auth-svc may import only/,
  },
  {
    title: 'a re-export from another service',
    path: 'auth-svc/server.ts',
    text: "export { open } from '../user-svc/server.ts'",
    message: /auth-svc may import only/,
  },
  {
    title: 'a worker thread that runs a file of another service',
    path: 'auth-svc/server.ts',
    text: "new Worker(new URL('../user-svc/worker.ts', import.meta.url))",
    message: /auth-svc may import only/,
  },
  {
    title: 'a service that imports a test',
    path: 'gateway/app.ts',
    text: "import { start } from '../test/support/stores.ts'",
    message: /gateway may import only/,
  },
  {
    title: 'a runtime file that imports a service',
    path: 'runtime/process/redis.ts',
    text: "import { settings } from '../../gateway/config.ts'",
    message: /runtime may import only/,
  },
  {
    title: 'a lower folder of runtime that imports a higher one',
    path: 'runtime/observability/logger.ts',
    text: "import { openDatabase } from '#runtime/postgres/database.ts'",
    message: /observability is below postgres/,
  },
  {
    title: 'a lower folder of the gateway that imports a higher one',
    path: 'gateway/contract/route-table.ts',
    text: "import { bind } from '../transcoding/binding/request-binding.ts'",
    message: /contract is below transcoding/,
  },
  {
    title: 'a file of a folder that imports its higher subfolder',
    path: 'gateway/http/problem.ts',
    text: "import { createRejection } from './listener/rejection.ts'",
    message: /http is below http\/listener/,
  },
  {
    title: 'a folder of the gateway that imports the app',
    path: 'gateway/edge/cache.ts',
    text: "import { buildApp } from '../app.ts'",
    message: /edge is below app\.ts/,
  },
  {
    title: 'a lower folder of auth-svc that imports a type of a higher one',
    path: 'auth-svc/accounts/sign-up.ts',
    text: "import type { Sessions } from '../sessions/sessions.ts'",
    message: /accounts is below sessions/,
  },
  {
    title: 'a lower folder of user-svc that imports a higher one',
    path: 'user-svc/users/account-handlers.ts',
    text: "import { createErasure } from '../privacy/erasure.ts'",
    message: /users is below privacy/,
  },
  {
    title: 'a domain folder that imports the server',
    path: 'user-svc/users/account-access.ts',
    text: "import { createUserServer } from '../server.ts'",
    message: /users is below server\.ts/,
  },
  {
    title: 'the errors of a service that import a domain folder',
    path: 'user-svc/errors.ts',
    text: "import { LIMIT } from './documents/documents.ts'",
    message: /errors\.ts is below documents/,
  },
  {
    title: 'a repository that imports handlers',
    path: 'user-svc/users/user-repository.ts',
    text: "import { createUserHandlers } from './user-handlers.ts'",
    message: /only handlers and the server/,
  },
  {
    title: 'domain logic that imports handlers',
    path: 'user-svc/users/account-access.ts',
    text: "import { createUserHandlers } from './user-handlers.ts'",
    message: /only handlers and the server/,
  },
  {
    title: 'a folder that is not listed as a part of its service',
    path: 'user-svc/helpers/text.ts',
    text: 'export const a = 1',
    message: /in no part of user-svc/,
  },
  {
    title: 'a migration that imports a source file',
    path: 'user-svc/migrations/20261231235959-do.ts',
    text: "import { SCHEMA } from '../tables.ts'",
    message: /a migration imports packages only/,
  },
  {
    title: 'process.env read outside the settings',
    path: 'gateway/edge/cache.ts',
    text: 'const size = process.env.CACHE_SIZE',
    message: /reads process\.env/,
  },
  {
    title: "process['env'] read outside the settings",
    path: 'auth-svc/server.ts',
    text: "const { SIZE } = process['env']",
    message: /reads process\.env/,
  },
  {
    title: 'process.env destructured outside the settings',
    path: 'auth-svc/server.ts',
    text: 'const { env: { SIZE } } = process',
    message: /reads process\.env/,
  },
  {
    title: 'env imported from node:process outside the settings',
    path: 'user-svc/server.ts',
    text: "import { env } from 'node:process'",
    message: /reads process\.env/,
  },
  { title: 'a default export', path: 'auth-svc/mail.ts', text: 'export default {}', message: /default export/ },
  {
    title: 'a default export by name',
    path: 'auth-svc/mail.ts',
    text: 'const mail = 1; export { mail as default }',
    message: /default export/,
  },
  { title: 'a barrel', path: 'gateway/edge/index.ts', text: "export * from './cache.ts'", message: /barrel/ },
]

for (const { title, path, text, message } of invalidFiles) {
  t.test(`the layout check reports ${title}`, async t => {
    const problems = checkLayout([readSourceFile(path, text)])
    t.ok(
      problems.some(problem => message.test(problem)),
      `reported: ${problems.join('; ')}`,
    )
  })
}

t.test('the layout check accepts imports that point down', async t => {
  const allowed = [
    readSourceFile('gateway/main.ts', "import { buildApp } from './app.ts'; console.log(process.env.HOME)"),
    readSourceFile('gateway/app.ts', "import { registerRoutes } from './transcoding/routes.ts'"),
    readSourceFile('gateway/edge/cache.ts', "import { HttpError } from '../http/http-errors.ts'"),
    readSourceFile(
      'gateway/transcoding/routes.ts',
      "import { registerRequestPolicies } from '../edge/request-policy.ts'",
    ),
    readSourceFile('user-svc/server.ts', "import { createUserHandlers } from './users/user-handlers.ts'"),
    readSourceFile(
      'user-svc/users/user-handlers.ts',
      "import { createRedis } from '#runtime/process/redis.ts'; import 'pg'",
    ),
    readSourceFile('test/support/system.ts', "import { settings } from '../../gateway/config.ts'; process.env.CI"),
  ]
  t.strictSame(checkLayout(allowed), [])
})
