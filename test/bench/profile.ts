/**
 * `make profile`: profiles the gateway under the load of the case `full edge`. Writes the profile to .data/profile/,
 * which the developer tools of a browser can open, and prints the self time of each part and each function.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { asUsers, PRINCIPALS } from './edge.ts'
import { startEnvironment } from './environment.ts'
import { loadCase } from './load-case.ts'
import { type CpuProfile, selfTimes } from './profile-report.ts'
import { runAlone } from './rounds.ts'
import { startGateway } from './server-under-test.ts'
import { accessTokens } from './tokens.ts'

const WARM_UP_SECONDS = 4
const SECONDS = 8
const TOP = 45

const directory = path.resolve(import.meta.dirname, '../../.data/profile')
mkdirSync(directory, { recursive: true })
const name = `gateway-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.cpuprofile`

const environment = await startEnvironment()
const { contract, key } = environment
const gateway = await startGateway('profiled', {
  ...environment.gateway,
  nodeArgs: ['--cpu-prof', '--cpu-prof-interval=200', `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${name}`],
})
const users = asUsers(accessTokens(key, PRINCIPALS))
const load = loadCase({ name: 'full edge', server: gateway, requests: () => users, expected: contract.json })
await runAlone(load, WARM_UP_SECONDS)
// The profile uses the monotonic clock in microseconds, like hrtime.
const from = Number(process.hrtime.bigint() / 1000n)
const { cpuUs, rate } = await runAlone(load, SECONDS)
const to = Number(process.hrtime.bigint() / 1000n)
await gateway.stop()
await environment.stop()

const written = readdirSync(directory).find(file => file === name)
if (written === undefined) throw new Error('The gateway did not write a profile')
const profile: CpuProfile = JSON.parse(readFileSync(path.join(directory, written), 'utf8'))
const { parts, functions } = selfTimes(profile, from, to)
const share = (fraction: number) =>
  `${(fraction * 100).toFixed(1).padStart(5)} %  ${(fraction * cpuUs).toFixed(2).padStart(6)} us`
console.log(`${cpuUs.toFixed(1)} us CPU per request, including the profiler; ${rate?.toFixed(0)} requests/s\n`)
for (const { label, fraction } of parts) console.log(`${share(fraction)}  ${label}`)
console.log()
for (const { label, fraction } of functions.slice(0, TOP)) console.log(`${share(fraction)}  ${label}`)
console.log(`\n${path.join(directory, name)}`)
