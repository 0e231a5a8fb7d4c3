/**
 * Which processes belong to a data folder: a file each under `run/`. A file outlives a supervisor that was killed, and
 * its pid may by then be somebody else's, so it also says when the process was started: only both make it ours.
 */
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { endProcess, isAlive, type ProcessId, startOf } from './processes.ts'

export interface RunFile extends ProcessId {
  name: string
  /** What the supervisor says of the system: the settings of its gateway, and POSTGRES_PORT. */
  env?: Record<string, string>
}

/** The one that names the supervisor itself. */
export const SUPERVISOR = 'up'

/** The order in which a system ends: first what takes requests, last what keeps data. */
export const STOP_ORDER = ['gateway', 'auth-svc', 'user-svc', 'redis', 'postgres'] as const

const folderOf = (dataDir: string) => path.join(dataDir, 'run')
const fileOf = (dataDir: string, name: string) => path.join(folderOf(dataDir), `${name}.json`)

/**
 * @param isNew fails when the file is there: the first of two who start at the same time wins.
 * @throws an error with code EEXIST.
 */
export async function writeRunFile(
  dataDir: string,
  { name, pid, env, isNew = false }: { name: string; pid: number; env?: Record<string, string>; isNew?: boolean },
): Promise<void> {
  await mkdir(folderOf(dataDir), { recursive: true })
  const content: RunFile = { name, pid, startedAt: await startOf(pid), ...(env && { env }) }
  // Never seen half written.
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

/** The processes that are running now, of those that have a file. Files of processes that are gone are removed. */
export async function readRunFiles(dataDir: string): Promise<RunFile[]> {
  const files = await readdir(folderOf(dataDir)).catch((): string[] => [])
  const alive: RunFile[] = []
  // What is being written by another process now is a draft, and that one's to remove.
  for (const file of files.filter(name => name.endsWith('.json'))) {
    const location = path.join(folderOf(dataDir), file)
    const entry = parse(await readFile(location, 'utf8').catch(() => ''))
    if (entry !== undefined && (await isAlive(entry))) alive.push(entry)
    else await rm(location, { force: true })
  }
  return alive
}

/** A file that was cut short by a crash says nothing. */
function parse(text: string): RunFile | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Ends what a killed supervisor left, in order. */
export async function endOrphans(dataDir: string, tell: (text: string) => void): Promise<void> {
  const left = await readRunFiles(dataDir)
  for (const name of STOP_ORDER) {
    const orphan = left.find(entry => entry.name === name)
    if (orphan === undefined) continue
    tell(`Ending ${name} (process ${orphan.pid}), left over from a run that was killed`)
    // PostgreSQL would wait for its clients on SIGTERM.
    await endProcess(orphan, name === 'postgres' ? 'SIGINT' : 'SIGTERM', 35_000)
    await removeRunFile(dataDir, name)
  }
}
