/** A process that answers HTTP, alone on the measured core: a gateway of ours, the floor, the Express gateway. */
import { truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import getPort from 'get-port'
import { stringify } from 'yaml'
import { waitUntilReady } from '../../deploy/dev/readiness.ts'
import { serviceCommand } from '../../deploy/dev/services.ts'
import { until } from '../support/until.ts'
import { SERVICE } from './contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'
import { MEASURED_CORE, startPinned } from './pinned.ts'
import { AUDIENCE, ISSUER } from './tokens.ts'

export interface ServerUnderTest {
  readonly name: string
  readonly origin: string
  readonly pids: readonly number[]
  /** Empties the file that it logs into, which would else take some 100 MB a minute. */
  clearLog(): void
  stop(): Promise<void>
}

export interface GatewayAround {
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

/** The gateway as it is deployed, with a `gateway.yaml` of its own. @param name also of its files. */
export async function startGateway(name: string, around: GatewayAround): Promise<ServerUnderTest> {
  const config = path.join(BENCH_DIRECTORY, `${name}.yaml`)
  writeFileSync(config, gatewayFile(around))
  const { command, args } = serviceCommand('gateway')
  return startServer(
    name,
    port => ({
      command,
      args: [...(around.nodeArgs ?? []), ...args],
      env: {
        ...around.env,
        GATEWAY_PORT: String(port),
        GATEWAY_CONFIG: config,
        AUTH_SVC_ADDRESS: around.authSvcAddress,
        REDIS_URL: around.redisUrl,
        TOKEN_ISSUER: ISSUER,
        TOKEN_AUDIENCE: AUDIENCE,
        DRAIN_DELAY_MS: '50',
      },
    }),
    origin => waitUntilReady(origin, 30_000),
  )
}

export interface ScriptOptions {
  readonly script: string
  /** Its arguments after the port. */
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

/** A script whose first argument is the port to listen on. */
export function startScript(name: string, { script, args, env }: ScriptOptions): Promise<ServerUnderTest> {
  return startServer(
    name,
    port => ({ command: process.execPath, args: [script, String(port), ...args], env }),
    async origin => {
      await until(
        () =>
          fetch(origin).then(
            () => true,
            () => false,
          ),
        isUp => isUp,
      )
    },
  )
}

interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

async function startServer(
  name: string,
  commandAt: (port: number) => Command,
  ready: (origin: string) => Promise<void>,
): Promise<ServerUnderTest> {
  const port = await getPort()
  const output = path.join(BENCH_DIRECTORY, `${name}.log`)
  writeFileSync(output, '')
  const child = startPinned({ name, core: MEASURED_CORE, output, ...commandAt(port) })
  const origin = `http://127.0.0.1:${port}`
  await ready(origin)
  return { name, origin, pids: [child.pid], clearLog: () => truncateSync(output), stop: child.stop }
}

function gatewayFile({ backendAddress, image }: GatewayAround): string {
  return stringify({
    upstreams: [{ name: 'bench', address: backendAddress, contract: image, services: [SERVICE], transport: 'http2' }],
  })
}
