/** `make down`: ends what `make up` runs, from another terminal, and whatever a killed `make up` left. */
import { readSettings } from '#runtime/process/env.ts'
import { endProcess } from './processes.ts'
import { endOrphans, readRunFiles, SUPERVISOR } from './run-files.ts'
import { devSettings } from './settings.ts'

const { DATA_DIR: dataDir } = readSettings(devSettings)
const running = await readRunFiles(dataDir)
if (running.length === 0) console.log('Nothing is running')

const supervisor = running.find(entry => entry.name === SUPERVISOR)
if (supervisor !== undefined) {
  console.log(`Stopping process ${supervisor.pid}`)
  // Five processes, each of which may take its time to drain.
  await endProcess(supervisor, 'SIGTERM', 120_000)
}
await endOrphans(dataDir, console.log)
