/** `make up` as a developer runs it, in a data folder and on ports of the test's own. */
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
  readonly env: Record<string, string>
  readonly url: string
  /** Of the processes that run now, by name. */
  pids(): Promise<Record<string, number>>
  run(program: 'up' | 'down' | 'gateway', env?: Record<string, string>): Run
}

export interface Run {
  readonly output: string
  /** Resolves when its output has what fits, or rejects when it ends without. */
  says(pattern: RegExp): Promise<void>
  /** As a terminal sends it: to the whole process group. */
  signalGroup(signal: NodeJS.Signals): void
  signal(signal: NodeJS.Signals): void
  readonly exitCode: Promise<number | undefined>
}

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
        async says(pattern) {
          while (!pattern.test(output)) {
            const isOver = await Promise.race([
              new Promise<false>(resolve => subprocess.all.once('data', () => resolve(false))),
              exitCode.then(() => true),
            ])
            if (isOver && !pattern.test(output))
              throw new Error(`${program} ended without saying ${pattern}:\n${output}`)
          }
        },
        signalGroup: signal => process.kill(-(subprocess.pid ?? 0), signal),
        signal: signal => void subprocess.kill(signal),
        exitCode,
      }
    },
  }
}
