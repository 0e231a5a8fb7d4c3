/**
 * Starts a load with wrk if it is installed or its Debian package can be, otherwise with autocannon. wrk uses about 4 us
 * of CPU per request, autocannon 20 us. With the upstream on the same core, only wrk saturates a gateway that uses 30 us
 * per request.
 */
import { findCommand } from '../../deploy/dev/debian-command.ts'
import { startAutocannon } from './autocannon.ts'
import type { Load, RunningLoad } from './load.ts'
import { startWrk } from './wrk.ts'

/** The load generator that `startLoad` uses. */
export const generator = (await findCommand({ names: ['wrk'], package: 'wrk', log: console.error }))
  ? 'wrk'
  : 'autocannon'

/** Starts a load. It runs on the same core as this process. */
export function startLoad(load: Load): Promise<RunningLoad> {
  return generator === 'wrk' ? startWrk(load) : startAutocannon(load)
}
