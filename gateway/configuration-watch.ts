/** Notices changes of gateway.yaml and of the files that it names. */
import { statSync } from 'node:fs'
import { type GatewayFile, readGatewayFile } from './gateway-file.ts'
import { isReflected } from './upstream/upstream-config.ts'

/**
 * Interval in milliseconds between two checks. Files are compared by their state and not by events of the file system, which
 * do not report the replacement of a folder by a symbolic link, as Kubernetes updates a ConfigMap.
 */
const INTERVAL_MS = 1000

export interface ConfigurationWatchOptions {
  /** Path of gateway.yaml. */
  readonly path: string
  /** Values of variables in the file. */
  readonly env: NodeJS.ProcessEnv
  /** Called when a file has changed and then stayed the same for an interval, so that it is not read half-written. */
  readonly onChange: () => void
  /** Default 1,000. */
  readonly intervalMs?: number
}

/** Starts to watch. @returns a function that stops it. */
export function watchConfiguration(options: ConfigurationWatchOptions): () => void {
  const { path, env, onChange, intervalMs = INTERVAL_MS } = options
  let files = filesOf(path, env) ?? [path]
  let reported = stateOf(files)
  let latest = reported

  const timer = setInterval(() => {
    const state = stateOf(files)
    if (state !== latest) latest = state
    else if (state !== reported) {
      // While the file is invalid, the files that it last named are watched.
      files = filesOf(path, env) ?? files
      latest = stateOf(files)
      reported = latest
      onChange()
    }
  }, intervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** Returns gateway.yaml and the files that it names; undefined if it is invalid. */
function filesOf(path: string, env: NodeJS.ProcessEnv): string[] | undefined {
  let file: GatewayFile
  try {
    file = readGatewayFile(path, env)
  } catch {
    return undefined
  }
  const named = file.upstreams.flatMap(config => {
    const { contract, httpRules, tls } = config
    return [isReflected(config) ? undefined : contract, httpRules, tls?.ca, tls?.cert, tls?.key]
  })
  return [...new Set([path, ...named.filter(name => name !== undefined)])]
}

function stateOf(files: readonly string[]): string {
  return files.map(stateOfFile).join()
}

function stateOfFile(file: string): string {
  try {
    const { dev, ino, size, mtimeMs } = statSync(file)
    return `${dev}:${ino}:${size}:${mtimeMs}`
  } catch (error) {
    // Such as ENOENT, or ELOOP.
    return String((error as NodeJS.ErrnoException).code)
  }
}
