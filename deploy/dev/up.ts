/**
 * `make up`: runs the whole system in the foreground until Ctrl-C, `make down`, or until a part of it crashes.
 *
 * The processes lead groups of their own, so Ctrl-C reaches this one only, and it ends them in their order. Each has a
 * file under `run/` in the data folder, by which the next start finds what a killed one left behind.
 */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { readSettings, type Settings, SettingsError } from '#runtime/process/env.ts'
import { ROOT } from './migrate.ts'
import { assertPortsFree } from './ports.ts'
import { endOrphans, readRunFiles, removeRunFile, SUPERVISOR, writeRunFile } from './run-files.ts'
import { devSettings } from './settings.ts'
import { SetupError } from './setup-error.ts'
import { type Crash, createSystem, type System } from './system.ts'
import { openLogFiles, toReport } from './terminal.ts'

const SHOWN_LINES = 20

// A terminal that is gone takes no more lines; that is no reason to stop out of order.
process.stdout.on('error', () => {})
const tell = (text: string) => console.log(text)

try {
  process.exit(await main(readSettings(devSettings)))
} catch (error) {
  const isPlain = error instanceof SettingsError || error instanceof SetupError
  console.error(isPlain ? error.message : error)
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

/** Makes the data folder ours, and empty of processes. */
async function claim(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true })
  const running = (await readRunFiles(dataDir)).find(entry => entry.name === SUPERVISOR)
  if (running !== undefined) {
    throw new SetupError(`It is running already (process ${running.pid}); \`make down\` stops it`)
  }
  await writeRunFile(dataDir, { name: SUPERVISOR, pid: process.pid, isNew: true })
  await endOrphans(dataDir, tell)
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
    env: processEnvironment(),
    logs,
    nameAdministrator() {
      administrator = nameAdministrator(settings)
      // At once: should the first boot fail after this, the account may be there with this password.
      tell(`Creating the administrator ${administrator.email}${passwordOf(administrator)}`)
      return administrator
    },
    tell,
  })

  const signal = whenSignalled(system)
  const crash = system.crashed.then(reportCrash)
  const start = system.start().then(() => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    tell(welcome({ publicUrl, seconds, dataDir, administrator }))
    return new Promise<never>(() => {})
  })
  try {
    return await Promise.race([signal, crash, start])
  } finally {
    await system.stop()
    logs.close()
    tell('Stopped.')
  }
}

/** Ours, without what only the first boot is to know. */
function processEnvironment(): NodeJS.ProcessEnv {
  const { ADMIN_EMAIL: _email, ADMIN_PASSWORD: _password, ...env } = process.env
  return env
}

/** Resolves with the exit code when this process is asked to end. Asked again, it ends everything by force. */
function whenSignalled(system: System): Promise<number> {
  return new Promise(resolve => {
    let isStopping = false
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (isStopping) return system.kill()
        isStopping = true
        tell('\nStopping; once more to end everything by force')
        resolve(0)
      })
    }
  })
}

function reportCrash({ child, how }: Crash): number {
  const lines = child.lastLines.slice(-SHOWN_LINES).flatMap(line => toReport(line).split('\n'))
  const shown = lines.map(line => `  ${line}`).join('\n')
  console.error(`\n${child.name} ended unexpectedly with ${how}. Its last lines:\n${shown}\n`)
  return 1
}

interface Administrator {
  email: string
  password: string
  isGenerated: boolean
}

function nameAdministrator(settings: Settings<typeof devSettings>): Administrator {
  return {
    email: settings.ADMIN_EMAIL ?? 'admin@gatehouse.example',
    password: settings.ADMIN_PASSWORD ?? randomBytes(15).toString('base64url'),
    isGenerated: settings.ADMIN_PASSWORD === undefined,
  }
}

function passwordOf({ password, isGenerated }: Administrator): string {
  return isGenerated ? `, password ${password} (shown now and never again)` : ', password as in ADMIN_PASSWORD'
}

function welcome(about: {
  publicUrl: string
  seconds: string
  dataDir: string
  administrator: Administrator | undefined
}): string {
  const { publicUrl, seconds, administrator } = about
  const dataDir = path.relative(ROOT, about.dataDir)
  const logs = path.join(dataDir.startsWith('..') ? about.dataDir : dataDir, 'log')
  return `
Ready after ${seconds} s.

  API            ${publicUrl}
  API document   ${publicUrl}/openapi.json, to read at ${publicUrl}/docs
  Administrator  ${administrator === undefined ? 'as created at the first start' : `${administrator.email}${passwordOf(administrator)}`}
  Logs           ${logs}/*.log; here: requests, and warnings and worse

  Try:  curl -i ${publicUrl}/v1/auth/signup -H 'Content-Type: application/json' \\
          -d '{"email": "ada@example.com", "password": "a plain but lengthy phrase", "name": "Ada"}'

Ctrl-C stops everything.
`
}
