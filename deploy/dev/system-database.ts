import { readSettings } from '#runtime/process/env.ts'
import { type DatabaseUrls, provisionDatabase, startDatabase } from './database.ts'
import { readRunFiles, SUPERVISOR, terminateOrphans } from './run-files.ts'
import { loadSecrets } from './secrets.ts'
import { devSettings } from './settings.ts'

/** Runs `work` on the database of a running `make up`, or else starts the one of the data folder for it. */
export async function withSystemDatabase<R>(work: (urls: DatabaseUrls) => Promise<R>): Promise<R> {
  const { DATA_DIR: dataDir, POSTGRES_PORT } = readSettings(devSettings)
  const secrets = await loadSecrets(dataDir)
  const system = (await readRunFiles(dataDir)).find(entry => entry.name === SUPERVISOR)
  if (system !== undefined) return work(await provisionDatabase(Number(system.env?.['POSTGRES_PORT']), secrets))
  await terminateOrphans(dataDir, console.log)
  const server = await startDatabase(dataDir, { port: POSTGRES_PORT, secrets })
  try {
    return await work(await provisionDatabase(POSTGRES_PORT, secrets))
  } finally {
    await server.stop()
  }
}
