/**
 * Run files: one JSON file per process, under `run/` in the data folder. They outlive a killed supervisor, so that the
 * next start can terminate its processes. Because pids are reused, a file also holds the start time of the process.
 */
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { isAlive, type ProcessId, startTimeOf, terminateProcess } from './processes.ts'

export interface RunFile extends ProcessId {
  name: string
  /** Only in the file of the supervisor: the settings of the gateway, and POSTGRES_PORT. */
  env?: Record<string, string>
}

/** Name of the supervisor, the process of `make up`. */
export const SUPERVISOR = 'up'

/** The order in which processes stop: the one that accepts requests first, the stores last. */
export const STOP_ORDER = ['gateway', 'auth-svc', 'user-svc', 'redis', 'postgres'] as const

const folderOf = (dataDir: string) => path.join(dataDir, 'run')
const fileOf = (dataDir: string, name: string) => path.join(folderOf(dataDir), `${name}.json`)

/**
 * Writes the run file of a process, atomically.
 * @param isNew throws EEXIST if the file exists, so that only one of two concurrent starts succeeds.
 */
export async function writeRunFile(
  dataDir: string,
  { name, pid, env, isNew = false }: { name: string; pid: number; env?: Record<string, string>; isNew?: boolean },
): Promise<void> {
  await mkdir(folderOf(dataDir), { recursive: true })
  const content: RunFile = { name, pid, startedAt: await startTimeOf(pid), ...(env && { env }) }
  const draft = `${fileOf(dataDir, name)}.${process.pid}`
  await writeFile(draft, JSON.stringify(content), { mode: 0o600 })
  try {
    if (isNew) await link(draft, fileOf(dataDir, name))
    else await rename(draft, fileOf(dataDir, name))
  } finally {
    await rm(draft, { force: true })
  }
}

export async function removeRunFile(dataDir: string, name: string): Promise<void> {
  await rm(fileOf(dataDir, name), { force: true })
}

/** @returns the run files of processes that are running. Removes the files of those that have exited. */
export async function readRunFiles(dataDir: string): Promise<RunFile[]> {
  const files = await readdir(folderOf(dataDir)).catch((): string[] => [])
  const alive: RunFile[] = []
  // Other names are drafts that another process is writing; that process removes them.
  for (const file of files.filter(name => name.endsWith('.json'))) {
    const location = path.join(folderOf(dataDir), file)
    const entry = parse(await readFile(location, 'utf8').catch(() => ''))
    if (entry !== undefined && (await isAlive(entry))) alive.push(entry)
    else await rm(location, { force: true })
  }
  return alive
}

/** @returns undefined for a file that a crash truncated. */
function parse(text: string): RunFile | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Terminates the processes that a killed supervisor left running, in `STOP_ORDER`. */
export async function terminateOrphans(dataDir: string, log: (text: string) => void): Promise<void> {
  const running = await readRunFiles(dataDir)
  for (const name of STOP_ORDER) {
    const orphan = running.find(entry => entry.name === name)
    if (orphan === undefined) continue
    log(`Terminating ${name} (process ${orphan.pid}), left over from a killed run`)
    // On SIGTERM PostgreSQL would wait for its clients to disconnect.
    await terminateProcess(orphan, name === 'postgres' ? 'SIGINT' : 'SIGTERM', 35_000)
    await removeRunFile(dataDir, name)
  }
}
