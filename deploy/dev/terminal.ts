/**
 * What a developer sees of the processes' logs. Everything goes to a file each, `log/<name>.log`, begun anew at each
 * start. On the terminal: requests, one short line each, and warnings and worse of our own processes. PostgreSQL and
 * Redis say nothing there unless they crash: what they complain of is a service's to report.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'

export interface LogFiles {
  /** What to do with each line of a process. */
  writerFor(name: string): (line: string) => void
  close(): void
}

export async function openLogFiles(dataDir: string): Promise<LogFiles> {
  const folder = path.join(dataDir, 'log')
  await mkdir(folder, { recursive: true })
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

/** Asked by machines, again and again. */
const PROBES = new Set(['/healthz', '/readyz'])

/** A line of a process as the terminal shows it; undefined for what only the file needs. */
function toTerminalLine(name: string, line: string): string | undefined {
  const entry = parse(line)
  // Not our logger: a crash before it, or a warning of Node's own.
  if (entry === undefined) return line.trim() === '' ? undefined : `${name.padEnd(9)} ${line}`
  const { time, level, msg, method, route, status, ms, trace_id: traceId, err } = entry
  const start = `${String(time).slice(11, 19)} ${name.padEnd(9)}`
  if (msg === 'request' && PROBES.has(String(route))) return undefined
  if (msg === 'request') return `${start} ${method} ${route} ${status} ${ms} ms  ${traceId}`
  if (level === 'info' || level === 'debug' || level === 'trace') return undefined
  const trace = traceId === undefined ? '' : `  ${traceId}`
  return `${start} ${String(level).toUpperCase()} ${msg}${err?.message === undefined ? '' : `: ${err.message}`}${trace}`
}

/** A line as one reads it to find out why the process ended: with the stack, without what stands in every line. */
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
