/** Runs `make up` like a developer does, with a data folder and ports for one test. */
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { execaNode } from 'execa'
import type { Test } from 'tap'
import { ROOT } from '../../deploy/dev/migrate.ts'
import { ANY_METRICS_PORTS } from '../../deploy/dev/services.ts'
import { runStores } from './run-stores.ts'
import { openTestPort } from './test-port.ts'

export interface Installation {
  readonly dataDir: string
  /** Settings: the data folder and the ports. */
  readonly env: Record<string, string>
  readonly url: string
  /** Process ids from the run files, by name. */
  pids(): Promise<Record<string, number>>
  /** Runs a program of deploy/dev; it gets SIGTERM at the end of the test. */
  run(program: 'up' | 'down' | 'gateway', env?: Record<string, string>): Run
}

export interface Run {
  /** Standard output and standard error so far. */
  readonly output: string
  /** Resolves when the output matches. Rejects if the program exits before. */
  waitForOutput(pattern: RegExp): Promise<void>
  /** Sends a signal to the process group, like a terminal does. */
  signalGroup(signal: NodeJS.Signals): void
  signal(signal: NodeJS.Signals): void
  /** Resolves after the exit; undefined if a signal ended the program. */
  readonly exitCode: Promise<number | undefined>
}

/** Chooses a data folder and free ports. Starts nothing. */
export async function createInstallation(t: Test): Promise<Installation> {
  const { directory } = await runStores()
  const dataDir = path.join(await mkdtemp(path.join(directory, 'make-up-')), 'data')
  const names = ['GATEWAY_PORT', 'AUTH_SVC_PORT', 'USER_SVC_PORT', 'POSTGRES_PORT', 'REDIS_PORT']
  const ports: Record<string, string> = {}
  for (const name of names) ports[name] = String(await openTestPort())
  const env = { DATA_DIR: dataDir, DRAIN_DELAY_MS: '50', ...ANY_METRICS_PORTS, ...ports }

  return {
    dataDir,
    env,
    url: `http://127.0.0.1:${ports['GATEWAY_PORT']}`,
    async pids() {
      const folder = path.join(dataDir, 'run')
      const files = (await readdir(folder).catch(() => [])).filter(file => file.endsWith('.json'))
      const entries = await Promise.all(
        files.map(async file => JSON.parse(await readFile(path.join(folder, file), 'utf8'))),
      )
      return Object.fromEntries(entries.map(({ name, pid }) => [name, pid]))
    },
    run(program, changes = {}) {
      const subprocess = execaNode(path.join(ROOT, 'deploy/dev', `${program}.ts`), {
        env: { ...env, ...changes },
        nodeOptions: [],
        stdin: 'ignore',
        all: true,
        detached: true,
        reject: false,
      })
      let output = ''
      subprocess.all.setEncoding('utf8').on('data', text => {
        output += text
      })
      const exitCode = subprocess.then(result => result.exitCode)
      t.teardown(async () => {
        subprocess.kill('SIGTERM')
        await subprocess
      })
      return {
        get output() {
          return output
        },
        async waitForOutput(pattern) {
          while (!pattern.test(output)) {
            const hasExited = await Promise.race([
              new Promise<false>(resolve => subprocess.all.once('data', () => resolve(false))),
              exitCode.then(() => true),
            ])
            if (hasExited && !pattern.test(output))
              throw new Error(`${program} exited without output that matches ${pattern}:\n${output}`)
          }
        },
        signalGroup: signal => process.kill(-(subprocess.pid ?? 0), signal),
        signal: signal => void subprocess.kill(signal),
        exitCode,
      }
    },
  }
}
