/** A process that answers HTTP, alone on the measured core once it is ready: a gateway of ours, the floor, a gateway of others. */
import { truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import getPort from 'get-port'
import { waitUntilReady } from '../../deploy/dev/readiness.ts'
import { ANY_METRICS_PORTS, serviceCommand } from '../../deploy/dev/services.ts'
import { until } from '../support/until.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { writeBenchGatewayFile } from './gateway-file.ts'
import { pin, startPinned } from './pinned.ts'
import { AUDIENCE, ISSUER } from './tokens.ts'

/** Whatever is loaded and accounted for: one process, or several behind one origin. */
export interface ServerUnderTest {
  readonly origin: string
  readonly pids: readonly number[]
  /** Empties the files that it logs into, which would else take some 100 MB a minute. */
  clearLogs(): void
  stop(): Promise<void>
}

export interface GatewayOptions {
  readonly authSvcAddress: string
  readonly backendAddress: string
  /** Path of the contract's image. */
  readonly image: string
  readonly redisUrl: string
  /** For the process's environment, settings included. */
  readonly env: NodeJS.ProcessEnv
  /** Of Node itself, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[]
}

/** The gateway as it is deployed, one process. @param name also of its files. */
export async function startGateway(name: string, options: GatewayOptions): Promise<ServerUnderTest> {
  const config = writeBenchGatewayFile(name, options.backendAddress, options.image)
  const { command, args } = serviceCommand('gateway')
  return startServer(
    name,
    port => ({
      command,
      args: [...(options.nodeArgs ?? []), ...args],
      env: {
        ...options.env,
        ...ANY_METRICS_PORTS,
        GATEWAY_PORT: String(port),
        GATEWAY_CONFIG: config,
        AUTH_SVC_ADDRESS: options.authSvcAddress,
        REDIS_URL: options.redisUrl,
        TOKEN_ISSUER: ISSUER,
        TOKEN_AUDIENCE: AUDIENCE,
        DRAIN_DELAY_MS: '50',
      },
    }),
    origin => waitUntilReady(origin, 60_000),
  )
}

export interface ScriptOptions {
  /** Path from this folder. */
  readonly script: string
  /** Its arguments after the port. */
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** A script whose first argument is the port to listen on. */
export function startScript(name: string, { script, args, env }: ScriptOptions): Promise<ServerUnderTest> {
  return startServer(
    name,
    port => ({
      command: process.execPath,
      args: [path.join(import.meta.dirname, script), String(port), ...args],
      env,
    }),
    waitUntilAnswering,
  )
}

/** Resolves when anything is answered there. */
export async function waitUntilAnswering(origin: string): Promise<void> {
  const ask = () =>
    fetch(origin).then(
      () => true,
      () => false,
    )
  await until(ask, isUp => isUp)
}

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** @param ready resolves when it answers there. */
export async function startServer(
  name: string,
  commandAt: (port: number) => Command,
  ready: (origin: string) => Promise<void>,
): Promise<ServerUnderTest> {
  const port = await getPort()
  const output = path.join(BENCH_DIRECTORY, `${name}.log`)
  writeFileSync(output, '')
  // Several start at once: on all cores, until they are ready.
  const child = startPinned({ name, where: 'all', output, ...commandAt(port) })
  const origin = `http://127.0.0.1:${port}`
  await ready(origin)
  pin(child.pid, 'measured')
  return { origin, pids: [child.pid], clearLogs: () => truncateSync(output), stop: child.stop }
}
