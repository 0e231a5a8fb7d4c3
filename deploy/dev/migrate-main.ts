/** `make migrate`: brings the database up to date, that of a running `make up` or else the one that lies in its folder. */
import { readSettings } from '#runtime/env.ts'
import { prepareDatabase, startDatabase } from './database.ts'
import { endOrphans, readRunFiles, SUPERVISOR } from './run-files.ts'
import { loadSecrets } from './secrets.ts'
import { devSettings } from './settings.ts'

const { DATA_DIR: dataDir, POSTGRES_PORT } = readSettings(devSettings)
const secrets = await loadSecrets(dataDir)
const system = (await readRunFiles(dataDir)).find(entry => entry.name === SUPERVISOR)
if (system === undefined) {
  await endOrphans(dataDir, console.log)
  const server = await startDatabase(dataDir, { port: POSTGRES_PORT, secrets })
  try {
    await prepareDatabase(POSTGRES_PORT, secrets)
  } finally {
    await server.stop()
  }
} else {
  await prepareDatabase(Number(system.env?.['POSTGRES_PORT']), secrets)
}
console.log('The database is up to date')
