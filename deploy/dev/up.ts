/**
 * `make up`: runs the whole system in the foreground until Ctrl-C, `make down` or a crash of one of its processes.
 *
 * Each process leads its own process group, so Ctrl-C reaches only this process, which stops the others in order. Each
 * has a run file in the data folder, so that the next start can terminate what a killed `make up` left running.
 */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { readSettings, type Settings, SettingsError } from '#runtime/process/env.ts'
import { ROOT } from './migrate.ts'
import { assertPortsFree } from './ports.ts'
import { readRunFiles, removeRunFile, SUPERVISOR, terminateOrphans, writeRunFile } from './run-files.ts'
import { devSettings } from './settings.ts'
import { SetupError } from './setup-error.ts'
import { type Crash, createSystem, type System } from './system.ts'
import { openLogFiles, toReport } from './terminal.ts'

const CRASH_LINES = 20

// Ignore write errors after the terminal was closed, so that the processes still stop in order.
process.stdout.on('error', () => {})
const log = (text: string) => console.log(text)

try {
  process.exit(await main(readSettings(devSettings)))
} catch (error) {
  const isExpected = error instanceof SettingsError || error instanceof SetupError
  console.error(isExpected ? error.message : error)
  process.exit(1)
}

/** @returns the exit code. */
async function main(settings: Settings<typeof devSettings>): Promise<number> {
  const dataDir = settings.DATA_DIR
  await claim(dataDir)
  try {
    return await runSystem(settings)
  } finally {
    await removeRunFile(dataDir, SUPERVISOR)
  }
}

/** Claims the data folder. @throws SetupError if another `make up` uses it. */
async function claim(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true })
  const running = (await readRunFiles(dataDir)).find(entry => entry.name === SUPERVISOR)
  if (running !== undefined) {
    throw new SetupError(`Gatehouse is already running (process ${running.pid}). \`make down\` stops it.`)
  }
  await writeRunFile(dataDir, { name: SUPERVISOR, pid: process.pid, isNew: true })
  await terminateOrphans(dataDir, log)
}

async function runSystem(settings: Settings<typeof devSettings>): Promise<number> {
  const { DATA_DIR: dataDir, GATEWAY_PORT, AUTH_SVC_PORT, USER_SVC_PORT, POSTGRES_PORT, REDIS_PORT } = settings
  const hasOwnRedis = settings.REDIS_URL === undefined
  const { GATEWAY_METRICS_PORT, AUTH_SVC_METRICS_PORT, USER_SVC_METRICS_PORT } = settings
  await assertPortsFree({
    GATEWAY_PORT,
    AUTH_SVC_PORT,
    USER_SVC_PORT,
    GATEWAY_METRICS_PORT,
    AUTH_SVC_METRICS_PORT,
    USER_SVC_METRICS_PORT,
    POSTGRES_PORT,
    ...(hasOwnRedis && { REDIS_PORT }),
  })

  const started = performance.now()
  const publicUrl = settings.PUBLIC_URL ?? `http://127.0.0.1:${GATEWAY_PORT}`
  const logs = await openLogFiles(dataDir)
  let administrator: Administrator | undefined
  const system = createSystem({
    dataDir,
    ports: {
      gateway: GATEWAY_PORT,
      authSvc: AUTH_SVC_PORT,
      userSvc: USER_SVC_PORT,
      postgres: POSTGRES_PORT,
      redis: REDIS_PORT,
    },
    publicUrl,
    redisUrl: settings.REDIS_URL,
    env: serviceEnvironment(),
    logs,
    chooseAdministrator() {
      administrator = chooseAdministrator(settings)
      // Printed before the start, because the account may exist with this password even if the start fails later.
      log(`Creating the administrator ${administrator.email}${describePassword(administrator)}`)
      return administrator
    },
    log,
  })

  const signal = waitForSignal(system)
  const crash = system.crashed.then(reportCrash)
  const start = system.start().then(() => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    log(welcome({ publicUrl, seconds, dataDir, administrator }))
    return new Promise<never>(() => {})
  })
  try {
    return await Promise.race([signal, crash, start])
  } finally {
    await system.stop()
    logs.close()
    log('Stopped.')
  }
}

/** @returns the environment without ADMIN_EMAIL and ADMIN_PASSWORD, which auth-svc gets at the first start only. */
function serviceEnvironment(): NodeJS.ProcessEnv {
  const { ADMIN_EMAIL: _email, ADMIN_PASSWORD: _password, ...env } = process.env
  return env
}

/** Resolves with the exit code at the first SIGINT, SIGTERM or SIGHUP. The second one kills all processes. */
function waitForSignal(system: System): Promise<number> {
  return new Promise(resolve => {
    let isStopping = false
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (isStopping) return system.kill()
        isStopping = true
        log('\nStopping. Press Ctrl-C again to kill all processes.')
        resolve(0)
      })
    }
  })
}

function reportCrash({ child, reason }: Crash): number {
  const lines = child.lastLines.slice(-CRASH_LINES).flatMap(line => toReport(line).split('\n'))
  const shown = lines.map(line => `  ${line}`).join('\n')
  console.error(`\n${child.name} exited unexpectedly (${reason}). Last log lines:\n${shown}\n`)
  return 1
}

interface Administrator {
  email: string
  password: string
  isGenerated: boolean
}

function chooseAdministrator(settings: Settings<typeof devSettings>): Administrator {
  return {
    email: settings.ADMIN_EMAIL ?? 'admin@gatehouse.example',
    password: settings.ADMIN_PASSWORD ?? randomBytes(15).toString('base64url'),
    isGenerated: settings.ADMIN_PASSWORD === undefined,
  }
}

function describePassword({ password, isGenerated }: Administrator): string {
  return isGenerated ? `, password ${password} (shown only once)` : ', password from ADMIN_PASSWORD'
}

function welcome(summary: {
  publicUrl: string
  seconds: string
  dataDir: string
  administrator: Administrator | undefined
}): string {
  const { publicUrl, seconds, administrator } = summary
  const dataDir = path.relative(ROOT, summary.dataDir)
  const logs = path.join(dataDir.startsWith('..') ? summary.dataDir : dataDir, 'log')
  const account = administrator && `${administrator.email}${describePassword(administrator)}`
  return `
Ready after ${seconds} s.

  API            ${publicUrl}
  API reference  ${publicUrl}/docs (OpenAPI document: ${publicUrl}/openapi.json)
  Administrator  ${account ?? 'created at the first start'}
  Logs           ${logs}/*.log; this terminal shows requests, warnings and errors

  Try:  curl -i ${publicUrl}/v1/auth/signup -H 'Content-Type: application/json' \\
          -d '{"email": "ada@example.com", "password": "a plain but lengthy phrase", "name": "Ada"}'

Ctrl-C stops everything.
`
}
