/**
 * `make gateway GATEWAY_PORT=3001`: another gateway beside the one of a running `make up`, with the same settings but
 * its port. Its metrics stand on any port that is free, as its log says, unless GATEWAY_METRICS_PORT is given.
 */
import { readSettings, SettingsError } from '#runtime/process/env.ts'
import { assertPortsFree } from './ports.ts'
import { readRunFiles, SUPERVISOR } from './run-files.ts'
import { devSettings } from './settings.ts'
import { SetupError } from './setup-error.ts'

try {
  const { DATA_DIR, GATEWAY_PORT } = readSettings(devSettings)
  const system = (await readRunFiles(DATA_DIR)).find(entry => entry.name === SUPERVISOR)
  if (system?.env === undefined) throw new SetupError('No system is running: start one with `make up` first')
  await assertPortsFree({ GATEWAY_PORT })
  const own = { GATEWAY_PORT: String(GATEWAY_PORT), GATEWAY_METRICS_PORT: process.env['GATEWAY_METRICS_PORT'] || '0' }
  Object.assign(process.env, system.env, own)
} catch (error) {
  const isPlain = error instanceof SettingsError || error instanceof SetupError
  console.error(isPlain ? error.message : error)
  process.exit(1)
}
await import('../../gateway/main.ts')
