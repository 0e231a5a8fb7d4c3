/**
 * `make gateway GATEWAY_PORT=3001`: runs another gateway beside a running `make up`, with the same settings except the
 * port. Its metrics port is GATEWAY_METRICS_PORT, by default any free port, which the gateway logs.
 */
import { readSettings, SettingsError } from '#runtime/process/env.ts'
import { assertPortsFree } from './ports.ts'
import { readRunFiles, SUPERVISOR } from './run-files.ts'
import { devSettings } from './settings.ts'
import { SetupError } from './setup-error.ts'

try {
  const { DATA_DIR, GATEWAY_PORT } = readSettings(devSettings)
  const system = (await readRunFiles(DATA_DIR)).find(entry => entry.name === SUPERVISOR)
  if (system?.env === undefined) throw new SetupError('Gatehouse is not running. Start it with `make up`.')
  await assertPortsFree({ GATEWAY_PORT })
  const own = { GATEWAY_PORT: String(GATEWAY_PORT), GATEWAY_METRICS_PORT: process.env['GATEWAY_METRICS_PORT'] || '0' }
  Object.assign(process.env, system.env, own)
} catch (error) {
  const isExpected = error instanceof SettingsError || error instanceof SetupError
  console.error(isExpected ? error.message : error)
  process.exit(1)
}
await import('../../gateway/main.ts')
