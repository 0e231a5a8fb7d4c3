/** Errors of the start of a process: one log line with what is wrong and the cure, and exit code 1. */
import { createLogger } from '../observability/logger.ts'
import { StatusError } from '../status.ts'
import { SettingsError } from './env.ts'

/** Older versions lack functions that the code uses, or do not run TypeScript. A program may support an older one. */
const MIN_NODE_MAJOR = 26

/**
 * Runs a step of the start. If it fails, logs the error at level fatal and exits with code 1. The line has the message
 * and no stack, except for errors of JavaScript itself, which are defects.
 * @param service field `service` of the log line.
 * @param minNodeMajor oldest major version of Node.js that runs the program. Default 26.
 */
export async function boot<R>(service: string, step: () => R | Promise<R>, minNodeMajor?: number): Promise<R> {
  try {
    assertNodeVersion(process.versions.node, minNodeMajor)
    return await step()
  } catch (error) {
    const logger = createLogger({ service, level: 'fatal' })
    if (isDefect(error)) logger.fatal({ err: error }, `${service} cannot start`)
    else logger.fatal(`${service} cannot start: ${describe(error)}`)
    process.exit(1)
  }
}

/** @throws SettingsError if the version of Node.js is too old. */
export function assertNodeVersion(version: string, minMajor = MIN_NODE_MAJOR): void {
  if (Number.parseInt(version, 10) >= minMajor) return
  throw new SettingsError(
    `Node.js ${version} is too old: Node.js ${minMajor} or later is required. Put it first on the PATH; ` +
      'in the repository, it is in node_modules/.bin',
  )
}

/**
 * Runs `listen` and names the setting of the port if it fails.
 * @throws SettingsError with the cure.
 */
export async function listenOn<R>(setting: string, address: string, listen: () => Promise<R>): Promise<R> {
  try {
    return await listen()
  } catch (cause) {
    throw new SettingsError(`${setting}: cannot listen on ${address}: ${describeListenError(cause)}`, { cause })
  }
}

function describeListenError(error: unknown): string {
  // grpc-js quotes the error of the socket in its message.
  const text = String(error)
  if (text.includes('EADDRINUSE')) return 'the port is in use. Choose another port, or stop the process that uses it'
  if (text.includes('EADDRNOTAVAIL')) return 'this machine does not have the address. Check LISTEN_HOST'
  if (text.includes('EACCES')) return 'the process may not use this port. Choose a port above 1023'
  return describe(error)
}

function isDefect(error: unknown): boolean {
  const isNative = [TypeError, RangeError, ReferenceError, SyntaxError].some(type => error instanceof type)
  return isNative || !(error instanceof Error)
}

/** The message of an error, with its violations. An AggregateError of a connection attempt has no message of its own. */
function describe(error: unknown): string {
  if (error instanceof StatusError && error.violations.length > 0) {
    return error.violations.map(({ field, description }) => `${field} ${description}`).join('; ')
  }
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join('; ')
  return error instanceof Error ? error.message : String(error)
}
