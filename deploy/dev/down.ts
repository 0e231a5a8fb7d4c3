/** `make down`: stops a running `make up` from another terminal, and processes that a killed `make up` left running. */
import { readSettings } from '#runtime/process/env.ts'
import { terminateProcess } from './processes.ts'
import { readRunFiles, SUPERVISOR, terminateOrphans } from './run-files.ts'
import { devSettings } from './settings.ts'

const { DATA_DIR: dataDir } = readSettings(devSettings)
const running = await readRunFiles(dataDir)
if (running.length === 0) console.log('Gatehouse is not running')

const supervisor = running.find(entry => entry.name === SUPERVISOR)
if (supervisor !== undefined) {
  console.log(`Stopping \`make up\` (process ${supervisor.pid})`)
  // The supervisor stops five processes in sequence, and each may drain for seconds.
  await terminateProcess(supervisor, 'SIGTERM', 120_000)
}
await terminateOrphans(dataDir, console.log)
