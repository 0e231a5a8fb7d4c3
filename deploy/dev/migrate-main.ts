/**
 * `make migrate`, `make migrate-status`, `make migrate-down`: for the database of a running `make up`, or else the one that
 * lies in its folder.
 */
import { readSettings } from '#runtime/env.ts'
import { prepareDatabase, provisionDatabase, startDatabase } from './database.ts'
import { readService, runMigrate, SERVICES } from './migrate.ts'
import { endOrphans, readRunFiles, SUPERVISOR } from './run-files.ts'
import { loadSecrets } from './secrets.ts'
import { devSettings } from './settings.ts'

const [command = 'up', service] = process.argv.slice(2)
const { DATA_DIR: dataDir, POSTGRES_PORT } = readSettings(devSettings)
const secrets = await loadSecrets(dataDir)
const system = (await readRunFiles(dataDir)).find(entry => entry.name === SUPERVISOR)
if (system === undefined) {
  await endOrphans(dataDir, console.log)
  const server = await startDatabase(dataDir, { port: POSTGRES_PORT, secrets })
  try {
    await run(POSTGRES_PORT)
  } finally {
    await server.stop()
  }
} else {
  await run(Number(system.env?.['POSTGRES_PORT']))
}

async function run(port: number): Promise<void> {
  try {
    await runCommand(port)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}

async function runCommand(port: number): Promise<void> {
  if (command === 'up') {
    await prepareDatabase(port, secrets)
    console.log('The database is up to date')
    return
  }
  const { authUrl, userUrl } = await provisionDatabase(port, secrets)
  const urls = { 'auth-svc': authUrl, 'user-svc': userUrl }
  if (command === 'status') {
    for (const name of SERVICES) console.log(await runMigrate(name, 'status', urls[name]))
  } else {
    const name = readService(service)
    console.log(await runMigrate(name, 'down', urls[name]))
  }
}
