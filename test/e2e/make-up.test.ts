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

// The whole system starts seven times in here, on whatever the other tests leave of the machine.
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

/** What must not be there after the end, whatever the end was. */
async function leftovers(installation: Installation, pids: Record<string, number>): Promise<string[]> {
  const running = Object.entries(pids).filter(([, pid]) => isRunning(pid))
  const files = await readdir(installation.dataDir, { recursive: true })
  return [...running.map(([name]) => `process ${name}`), ...files.filter(file => /\.pid$|^run\/.|\.lock$/.test(file))]
}

t.test('the system starts, keeps its data, and leaves nothing behind', async t => {
  const installation = await createInstallation(t)
  let email = ''

  await t.test('the first start creates an administrator, whose password is said and not stored', async t => {
    const up = installation.run('up')
    await up.says(/Ctrl-C stops everything/)
    t.comment(`first start: ${READY.exec(up.output)?.[1]} s`)
    const [, admin = '', password = ''] = /Administrator +(\S+), password (\S+)/.exec(up.output) ?? []
    t.match((await signIn(installation.url, admin, password)).user, { role: 'admin' })
    t.match(up.output, `${installation.url}/openapi.json`)
    t.equal((await request('GET', `${installation.url}/openapi.json`)).status, 200)
    email = (await signUp(installation.url)).user.email

    for (const file of await readdir(installation.dataDir, { recursive: true, withFileTypes: true })) {
      if (!file.isFile() || file.name.endsWith('.rdb')) continue
      const content = await readFile(path.join(file.parentPath, file.name))
      if (content.includes(password)) t.fail(`${file.name} has the password`)
    }
    t.equal(statSync(path.join(installation.dataDir, 'secrets.json')).mode & 0o777, 0o600)

    const pids = await installation.pids()
    t.strictSame(Object.keys(pids).sort(), ['auth-svc', 'gateway', 'postgres', 'redis', 'up', 'user-svc'])
    const again = installation.run('up')
    t.equal(await again.exitCode, 1, 'a second one beside it refuses')
    t.match(again.output, /running already/)

    // A terminal's Ctrl-C.
    up.signalGroup('SIGINT')
    t.equal(await up.exitCode, 0)
    t.strictSame(await leftovers(installation, pids), [])
  })

  await t.test('the second start finds the data, and `make down` ends it', async t => {
    const up = installation.run('up')
    await up.says(/Ctrl-C stops everything/)
    t.comment(`second start: ${READY.exec(up.output)?.[1]} s`)
    t.notMatch(up.output, /password [^ ]+ \(shown/, 'there is an administrator already')
    t.match((await signIn(installation.url, email)).user, { email })

    const port = String(await openTestPort())
    const gateway = installation.run('gateway', { GATEWAY_PORT: port })
    await gateway.says(/listening/)
    t.match((await signIn(`http://127.0.0.1:${port}`, email)).user, { email }, 'another gateway beside it')
    gateway.signalGroup('SIGINT')
    t.equal(await gateway.exitCode, 0)

    const pids = await installation.pids()
    const down = installation.run('down')
    t.equal(await down.exitCode, 0, down.output)
    t.equal(await up.exitCode, 0)
    t.strictSame(await leftovers(installation, pids), [])
  })

  await t.test('after a kill -9 of itself it finds what it left', async t => {
    const killed = installation.run('up')
    await killed.says(/Ctrl-C stops everything/)
    const pids = await installation.pids()
    killed.signal('SIGKILL')
    await killed.exitCode
    t.ok(isRunning(pids['postgres'] ?? 0), 'PostgreSQL runs on without it')

    const up = installation.run('up')
    await up.says(/Ctrl-C stops everything/)
    t.match(up.output, /Ending postgres \(process \d+\), left over/)
    for (const [name, pid] of Object.entries(pids)) t.notOk(isRunning(pid), `the old ${name} has ended`)
    t.match((await signIn(installation.url, email)).user, { email })
    up.signalGroup('SIGTERM')
    t.equal(await up.exitCode, 0)
  })

  await t.test('a process that crashes is named with its last lines, and everything ends', async t => {
    const up = installation.run('up')
    await up.says(/Ctrl-C stops everything/)
    const pids = await installation.pids()
    process.kill(pids['user-svc'] ?? 0, 'SIGKILL')
    t.equal(await up.exitCode, 1)
    t.match(up.output, /user-svc ended unexpectedly with SIGKILL\. Its last lines:\n(?: {2}.*\n)*? {2}.*listening/)
    t.strictSame(await leftovers(installation, pids), [])
  })

  await t.test('a stop while it starts leaves nothing either', async t => {
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

t.test('ports in use are told by setting before anything starts', async t => {
  const installation = await createInstallation(t)
  const taken = createServer().listen(Number(installation.env['GATEWAY_PORT']), '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const up = installation.run('up', { REDIS_PORT: installation.env['GATEWAY_PORT'] ?? '' })
  t.equal(await up.exitCode, 1)
  t.match(up.output, `Port ${installation.env['GATEWAY_PORT']} is in use: choose another with GATEWAY_PORT`)
  t.match(up.output, `Port ${installation.env['GATEWAY_PORT']} is in use: choose another with REDIS_PORT`)
  t.notOk(existsSync(path.join(installation.dataDir, 'postgres')), 'nothing was started')
})

t.test('a bad setting is named', async t => {
  const installation = await createInstallation(t)
  const up = installation.run('up', { GATEWAY_PORT: 'http' })
  t.equal(await up.exitCode, 1)
  t.match(up.output, /GATEWAY_PORT/)
  t.notMatch(up.output, / at /, 'without a stack')
})
