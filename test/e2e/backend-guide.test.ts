/** Follows the backend guide and the section of the README about services, as they are written. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { ANY_METRICS_PORTS } from '../../deploy/dev/services.ts'
import {
  createGuideFolder,
  GUIDE,
  GUIDE_ENV,
  LANGUAGES,
  type Language,
  prepareLanguage,
} from '../support/guide-folder.ts'
import { stepsOf } from '../support/markdown.ts'
import { openTestPort } from '../support/test-port.ts'
import { startSystem, type TestSystem } from '../support/test-system.ts'

// The first run downloads and compiles the dependencies of three languages.
t.setTimeout(900_000)

const MARK = '--- next'
const INSTALL = /^npm install path\/to\/gatehouse/
const NAMES = Object.keys(LANGUAGES) as Language[]

/** Sections, with the language of the reader in place of the others. */
function stepsFor(language: Language, sections: readonly string[]): { section: string; step: string }[] {
  return sections
    .map(name => (name === 'Service' ? language : name))
    .flatMap(section => stepsOf(GUIDE, section).map(step => ({ section, step })))
    .filter(({ step }) => !INSTALL.test(step))
}

/**
 * Runs steps in one shell that stops at the first failure, with free ports and the system of the test.
 * @returns the output of each section.
 */
async function follow(
  t: Test,
  language: Language,
  steps: readonly { section: string; step: string }[],
  system?: TestSystem,
): Promise<Record<string, string>> {
  const cwd = await createGuideFolder(t, language)
  const replaced: [documented: string, actual: string][] = [
    ['50060', String(await openTestPort())],
    ['3001', String(await openTestPort())],
    ...(system === undefined
      ? []
      : ([
          ['http://127.0.0.1:3000', system.url],
          ['127.0.0.1:50051', system.authSvcAddress],
          ['redis://127.0.0.1:56379', system.redisUrl],
        ] satisfies [string, string][])),
  ]
  const texts = steps.map(({ step }) => replaced.reduce((text, [from, to]) => text.replaceAll(from, to), step))
  const { exitCode, stdout, stderr } = await runShell(t, texts.join(`\necho "${MARK}"\n`), cwd)
  if (exitCode !== 0) throw new Error(`the commands of the guide fail:\n${stdout.slice(-2000)}\n${stderr}`)
  const outputs: Record<string, string> = {}
  for (const [index, output] of stdout.split(`${MARK}\n`).entries()) {
    const { section = '' } = steps[index] ?? {}
    outputs[section] = (outputs[section] ?? '') + output
  }
  return outputs
}

/** Runs commands in one shell that stops at the first failure. What they start in the background ends with it. */
async function runShell(t: Test, commands: string, cwd: string) {
  // Files, because a process in the background would keep a pipe open.
  const [output, errors] = ['stdout.log', 'stderr.log'].map(name => path.join(cwd, name)) as [string, string]
  const [out, err] = [await open(output, 'w'), await open(errors, 'w')]
  const shell = spawn('bash', ['-eu', '-o', 'pipefail'], {
    cwd,
    env: { ...process.env, ...GUIDE_ENV, ...ANY_METRICS_PORTS, DRAIN_DELAY_MS: '50' },
    stdio: ['pipe', out.fd, err.fd],
    detached: true,
  })
  const endGroup = () => {
    try {
      process.kill(-(shell.pid as number), 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
  t.teardown(endGroup)
  shell.stdin?.end(commands)
  const [exitCode] = await once(shell, 'exit')
  endGroup()
  await Promise.all([out.close(), err.close()])
  return { exitCode, stdout: await readFile(output, 'utf8'), stderr: await readFile(errors, 'utf8') }
}

/** The lines of an output that are JSON objects. */
const jsonIn = (output = ''): unknown[] =>
  output
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))

const ITEM = { id: '7', name: 'Apple', priceCents: '120' }
const STOCK = [{ count: 3 }, { count: 2 }, { count: 1 }]
const ERROR = {
  status: 404,
  code: 'shop.example/ITEM_NOT_FOUND',
  detail: 'There is no item 8',
  details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'ITEM_NOT_FOUND', domain: 'shop.example' }],
}

t.test('the backend guide can be followed in each of its languages', async t => {
  t.setTimeout(900_000)
  const skips = new Map<Language, string | undefined>()
  for (const language of NAMES) skips.set(language, await prepareLanguage(language))
  const system = await startSystem(t)
  for (const language of NAMES) {
    await t.test(`with a service in ${language}`, { skip: skips.get(language) ?? false, timeout: 300_000 }, async t => {
      const sections = [
        'Install the command',
        'Contract',
        'Service',
        'First request',
        'Streams, errors and metadata',
        'Choose the routes',
        'Annotate the contract',
        'TLS',
        'Reflection',
        'Users',
      ]
      const outputs = await follow(t, language, stepsFor(language, sections), system)
      t.match(jsonIn(outputs['First request']), [ITEM])
      t.match(outputs['First request'], /^3 routes, 0 problems, 1 warning$/m)

      const calls = jsonIn(outputs['Streams, errors and metadata'])
      t.match(calls, [...STOCK, ERROR, { subject: '', traceId: /^[\da-f]{32}$/, address: '127.0.0.1' }])

      t.match(jsonIn(outputs['Choose the routes']), [ITEM, ...STOCK])
      t.match(outputs['Choose the routes'], /GET +\/v1\/items\/\{id\}\/stock +shop\.v1\.Shop\/WatchStock/)

      t.match(outputs['Annotate the contract'], /REDIS_URL is required.*shop\.v1\.Shop\/WhoAmI/)
      t.match(jsonIn(outputs['Annotate the contract']), [ITEM])
      t.match(jsonIn(outputs['TLS']), [ITEM])
      t.match(jsonIn(outputs['Reflection']), [ITEM, ...STOCK])

      const users = jsonIn(outputs['Users'])
      t.match(users, [
        { subject: /^[\da-f-]{36}$/, traceId: String },
        { status: 401, code: 'unauthenticated' },
        { status: 401 },
      ])
    })
  }
})

t.test('the section of the README puts a running service behind a gateway', async t => {
  t.setTimeout(300_000)
  const language = 'Node.js'
  const skip = await prepareLanguage(language)
  if (skip !== undefined) return t.comment(skip)
  const service = [
    ...stepsFor(language, ['Contract', 'Service']),
    { section: 'start', step: 'export SHOP_PORT=50060\nbuild_shop\nrun_shop &' },
  ]
  const readme = stepsOf('README.md', 'Add your service').map(step => ({ section: 'README', step }))
  const steps = readme.filter(({ step }) => !INSTALL.test(step))
  t.equal(steps.length, readme.length - 1)
  const outputs = await follow(t, language, [...service, ...steps])
  t.match(jsonIn(outputs['README']), [ITEM])
})
