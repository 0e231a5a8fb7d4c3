/**
 * Writes the log of each process to a file and a summary to the terminal.
 *
 * The file `log/<name>.log` holds everything of the current run; `<name>.1.log` and `<name>.2.log` are those of the two
 * runs before. The terminal shows one line per request, and warnings and errors of the services. It shows no log of the
 * stores, because the services report their errors.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { mkdir, readdir, rename } from 'node:fs/promises'
import path from 'node:path'

export interface LogFiles {
  /** Returns the function to call with each line of a process. */
  writerFor(name: string): (line: string) => void
  close(): void
}

/** Number of runs whose logs are kept besides the current one. */
const KEPT_RUNS = 2

/** Creates the folder `log` in the data folder, and rotates the logs of earlier runs. */
export async function openLogFiles(dataDir: string): Promise<LogFiles> {
  const folder = path.join(dataDir, 'log')
  await mkdir(folder, { recursive: true })
  await rotateLogs(folder)
  const files: WriteStream[] = []
  return {
    writerFor(name) {
      const file = createWriteStream(path.join(folder, `${name}.log`))
      files.push(file)
      const isStore = name === 'postgres' || name === 'redis'
      return line => {
        file.write(`${line}\n`)
        const shown = isStore ? undefined : toTerminalLine(name, line)
        if (shown !== undefined) console.log(shown)
      }
    },
    close() {
      for (const file of files) file.end()
    },
  }
}

/** Renames `x.1.log` to `x.2.log` and `x.log` to `x.1.log`; the previous `x.2.log` is overwritten. */
async function rotateLogs(folder: string): Promise<void> {
  const present = new Set(await readdir(folder))
  const names = [...present].flatMap(file => /^([\w-]+)\.log$/.exec(file)?.[1] ?? [])
  for (const name of names) {
    for (let run = KEPT_RUNS; run > 0; run--) {
      const source = run === 1 ? `${name}.log` : `${name}.${run - 1}.log`
      if (present.has(source)) await rename(path.join(folder, source), path.join(folder, `${name}.${run}.log`))
    }
  }
}

/** Routes that health checks poll; their requests are not shown. */
const PROBES = new Set(['/healthz', '/readyz'])

/** @returns the summary of a log line for the terminal, or undefined if only the file shows it. */
function toTerminalLine(name: string, line: string): string | undefined {
  const entry = parse(line)
  // Not JSON: a crash before the logger existed, or a warning of Node.
  if (entry === undefined) return line.trim() === '' ? undefined : `${name.padEnd(9)} ${line}`
  const { time, level, msg, method, route, status, ms, trace_id: traceId, err } = entry
  const start = `${String(time).slice(11, 19)} ${name.padEnd(9)}`
  if (msg === 'request' && PROBES.has(String(route))) return undefined
  if (msg === 'request') return `${start} ${method} ${route} ${status} ${ms} ms  ${traceId}`
  if (level === 'info' || level === 'debug' || level === 'trace') return undefined
  const trace = traceId === undefined ? '' : `  ${traceId}`
  return `${start} ${String(level).toUpperCase()} ${msg}${err?.message === undefined ? '' : `: ${err.message}`}${trace}`
}

/** @returns a log line formatted for a crash report: with the stack, without `service` and `pid`. */
export function toReport(line: string): string {
  const entry = parse(line)
  if (entry === undefined) return line
  const { time, level, msg, err, service: _service, pid: _pid, ...rest } = entry
  const fields = Object.keys(rest).length === 0 ? '' : ` ${JSON.stringify(rest)}`
  const stack = err?.stack === undefined ? '' : `\n${err.stack}`
  return `${String(time).slice(11, 19)} ${String(level).toUpperCase()} ${msg}${fields}${stack}`
}

type Entry = Record<string, unknown> & { err?: { message?: string; stack?: string } }

function parse(line: string): Entry | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
