/**
 * Runs an HTTP server that is measured: a gateway, the baseline, Envoy. It is pinned to the measured core when it is
 * ready.
 */
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

/** A measured server: one process, or several behind one origin. */
export interface ServerUnderTest {
  readonly origin: string
  /** Processes whose CPU time is measured. */
  readonly pids: readonly number[]
  /** Truncates the log files, which grow by about 100 MB per minute. */
  clearLogs(): void
  stop(): Promise<void>
}

export interface GatewayOptions {
  readonly authSvcAddress: string
  readonly backendAddress: string
  readonly image: string
  readonly redisUrl: string
  /** Environment of the process, including settings. */
  readonly env: NodeJS.ProcessEnv
  /** Flags of Node, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[]
}

/**
 * Starts a gateway as one process. Resolves when it is ready.
 * @param name name of the process and of its files.
 */
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
  /** Path relative to this folder. */
  readonly script: string
  /** Arguments after the port. */
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** Starts a script whose first argument is the port to listen on. Resolves when it responds. */
export function startScript(name: string, { script, args, env }: ScriptOptions): Promise<ServerUnderTest> {
  return startServer(
    name,
    port => ({
      command: process.execPath,
      args: [path.join(import.meta.dirname, script), String(port), ...args],
      env,
    }),
    waitUntilResponding,
  )
}

/** Resolves when the server sends any response. */
export async function waitUntilResponding(origin: string): Promise<void> {
  const probe = () =>
    fetch(origin).then(
      () => true,
      () => false,
    )
  await until(probe, isUp => isUp)
}

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/**
 * Starts a server on a free port.
 * @param commandAt returns the command for a port.
 * @param ready resolves when the server at an origin is ready.
 */
export async function startServer(
  name: string,
  commandAt: (port: number) => Command,
  ready: (origin: string) => Promise<void>,
): Promise<ServerUnderTest> {
  const port = await getPort()
  const output = path.join(BENCH_DIRECTORY, `${name}.log`)
  writeFileSync(output, '')
  // Several servers start concurrently, on all cores until they are ready.
  const child = startPinned({ name, cores: 'all', output, ...commandAt(port) })
  const origin = `http://127.0.0.1:${port}`
  await ready(origin)
  pin(child.pid, 'measured')
  return { origin, pids: [child.pid], clearLogs: () => truncateSync(output), stop: child.stop }
}
