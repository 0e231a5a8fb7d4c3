import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { createInstallation, type Installation } from '../support/make-up.ts'
import { request, signIn, signUp } from '../support/rest-client.ts'
import { openTestPort } from '../support/test-port.ts'
import { until } from '../support/until.ts'

// This file starts the system seven times, while other tests use the CPU.
t.setTimeout(300_000)

const READY = /Ready after ([\d.]+) s/

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Returns the processes and the pid, run and lock files that are left. */
async function leftovers(installation: Installation, pids: Record<string, number>): Promise<string[]> {
  const running = Object.entries(pids).filter(([, pid]) => isRunning(pid))
  const files = await readdir(installation.dataDir, { recursive: true })
  return [...running.map(([name]) => `process ${name}`), ...files.filter(file => /\.pid$|^run\/.|\.lock$/.test(file))]
}

t.test('make up starts the system, keeps its data, and leaves no process or lock file', async t => {
  const installation = await createInstallation(t)
  let email = ''

  await t.test('the first start creates an administrator and prints the password without storing it', async t => {
    const up = installation.run('up')
    await up.waitForOutput(/Ctrl-C stops everything/)
    t.comment(`first start: ${READY.exec(up.output)?.[1]} s`)
    const [, admin = '', password = ''] = /Administrator +(\S+), password (\S+)/.exec(up.output) ?? []
    t.match((await signIn(installation.url, admin, password)).user, { role: 'admin' })
    t.match(up.output, `${installation.url}/openapi.json`)
    t.equal((await request('GET', `${installation.url}/openapi.json`)).status, 200)
    email = (await signUp(installation.url)).user.email

    for (const file of await readdir(installation.dataDir, { recursive: true, withFileTypes: true })) {
      if (!file.isFile() || file.name.endsWith('.rdb')) continue
      const content = await readFile(path.join(file.parentPath, file.name))
      if (content.includes(password)) t.fail(`${file.name} contains the password`)
    }
    t.equal(statSync(path.join(installation.dataDir, 'secrets.json')).mode & 0o777, 0o600)

    const pids = await installation.pids()
    t.strictSame(Object.keys(pids).sort(), ['auth-svc', 'gateway', 'postgres', 'redis', 'up', 'user-svc'])
    const second = installation.run('up')
    t.equal(await second.exitCode, 1, 'a second `make up` on the same data folder fails')
    t.match(second.output, /already running/)

    // A terminal's Ctrl-C.
    up.signalGroup('SIGINT')
    t.equal(await up.exitCode, 0)
    t.strictSame(await leftovers(installation, pids), [])
  })

  await t.test('the second start uses the existing data, and `make down` stops it', async t => {
    const up = installation.run('up')
    await up.waitForOutput(/Ctrl-C stops everything/)
    t.comment(`second start: ${READY.exec(up.output)?.[1]} s`)
    t.notMatch(up.output, /password [^ ]+ \(shown/, 'no administrator is created')
    t.match((await signIn(installation.url, email)).user, { email })

    const port = String(await openTestPort())
    const gateway = installation.run('gateway', { GATEWAY_PORT: port })
    await gateway.waitForOutput(/gateway listening/)
    t.match((await signIn(`http://127.0.0.1:${port}`, email)).user, { email }, 'a second gateway serves the same users')
    gateway.signalGroup('SIGINT')
    t.equal(await gateway.exitCode, 0)

    const pids = await installation.pids()
    const down = installation.run('down')
    t.equal(await down.exitCode, 0, down.output)
    t.equal(await up.exitCode, 0)
    t.strictSame(await leftovers(installation, pids), [])
  })

  await t.test(
    'a start after `kill -9` of `make up` terminates the processes that were left and starts again',
    async t => {
      const killed = installation.run('up')
      await killed.waitForOutput(/Ctrl-C stops everything/)
      const pids = await installation.pids()
      killed.signal('SIGKILL')
      await killed.exitCode
      t.ok(isRunning(pids['postgres'] ?? 0), 'PostgreSQL is still running')

      const up = installation.run('up')
      await up.waitForOutput(/Ctrl-C stops everything/)
      t.match(up.output, /Terminating postgres \(process \d+\), left over/)
      for (const [name, pid] of Object.entries(pids)) t.notOk(isRunning(pid), `the old ${name} has exited`)
      t.match((await signIn(installation.url, email)).user, { email })
      up.signalGroup('SIGTERM')
      t.equal(await up.exitCode, 0)
    },
  )

  await t.test(
    'if a service crashes, `make up` prints its last log lines, stops everything and exits with 1',
    async t => {
      const up = installation.run('up')
      await up.waitForOutput(/Ctrl-C stops everything/)
      const pids = await installation.pids()
      process.kill(pids['user-svc'] ?? 0, 'SIGKILL')
      t.equal(await up.exitCode, 1)
      t.match(up.output, /user-svc exited unexpectedly \(SIGKILL\)\. Last log lines:\n(?: {2}.*\n)*? {2}.*listening/)
      t.strictSame(await leftovers(installation, pids), [])
    },
  )

  await t.test('Ctrl-C during the start leaves no process or lock file', async t => {
    const up = installation.run('up')
    await until(
      () => installation.pids(),
      pids => pids['user-svc'] !== undefined,
    )
    const pids = await installation.pids()
    up.signalGroup('SIGINT')
    t.equal(await up.exitCode, 0)
    t.strictSame(await leftovers(installation, pids), [])
  })
})

t.test('make up names the settings of all ports that are in use, before it starts anything', async t => {
  const installation = await createInstallation(t)
  const taken = createServer().listen(Number(installation.env['GATEWAY_PORT']), '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const up = installation.run('up', { REDIS_PORT: installation.env['GATEWAY_PORT'] ?? '' })
  t.equal(await up.exitCode, 1)
  t.match(
    up.output,
    `GATEWAY_PORT: port ${installation.env['GATEWAY_PORT']} is in use. Choose another one with GATEWAY_PORT=PORT.`,
  )
  t.match(
    up.output,
    `REDIS_PORT: port ${installation.env['GATEWAY_PORT']} is in use. Choose another one with REDIS_PORT=PORT.`,
  )
  t.notOk(existsSync(path.join(installation.dataDir, 'postgres')), 'nothing was started')
})

t.test('make up names an invalid setting, without a stack', async t => {
  const installation = await createInstallation(t)
  const up = installation.run('up', { GATEWAY_PORT: 'http' })
  t.equal(await up.exitCode, 1)
  t.match(up.output, /GATEWAY_PORT/)
  t.notMatch(up.output, / at /, 'no stack')
})
