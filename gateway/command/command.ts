/** What the subcommands of `gatehouse` have in common: arguments, output and exit codes. */
import path from 'node:path'
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** Exit codes of all subcommands. */
export const EXIT = { ok: 0, findings: 1, usage: 2 } as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** What a subcommand reads and writes. */
export interface CommandContext {
  /** Settings and values of variables. */
  readonly env: NodeJS.ProcessEnv
  /** Folder that relative paths refer to. */
  readonly folder: string
  /** Writes a line to standard output. */
  print(line: string): void
  /** Writes a line to standard error. */
  printError(line: string): void
}

/** A subcommand of `gatehouse`. */
export interface Command {
  readonly name: string
  /** One line, for the list of subcommands. */
  readonly summary: string
  /** What `--help` prints: usage, options, exit codes. */
  readonly help: string
  /** Undefined: the process continues, as that of `serve`. @throws UsageError for invalid arguments. */
  run(args: readonly string[], context: CommandContext): Promise<ExitCode | undefined>
}

type Options = NonNullable<ParseArgsConfig['options']>

/**
 * Parses the arguments of a subcommand.
 * @param names of the positional arguments, all of which are required.
 * @throws UsageError for an unknown option, or a missing or surplus argument.
 */
export function parseArguments<O extends Options>(args: readonly string[], options: O, names: readonly string[] = []) {
  const parsed = parse(args, options)
  const { positionals } = parsed
  const missing = names.slice(positionals.length)
  if (missing.length > 0) throw new UsageError(`missing argument: ${missing.join(' ')}`)
  if (positionals.length > names.length) {
    throw new UsageError(`unexpected argument: ${positionals.slice(names.length).join(' ')}`)
  }
  return { values: parsed.values, positionals: [...positionals] }
}

function parse<O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new UsageError(error.message)
  }
}

/** The option `--config`, which all subcommands have that read gateway.yaml. */
export const CONFIG_OPTION = { config: { type: 'string', short: 'c' } } as const satisfies Options

/** The lines of `--help` about `--config`. */
export const CONFIG_HELP = `  -c, --config FILE   gateway.yaml. Default: GATEWAY_CONFIG, or gateway.yaml in the current folder.`

/** Returns the environment in which GATEWAY_CONFIG is the file of the command line, as an absolute path. */
export function withConfig({ env, folder }: CommandContext, config: string | undefined): NodeJS.ProcessEnv {
  const file = config ?? (env['GATEWAY_CONFIG']?.trim() || 'gateway.yaml')
  return { ...env, GATEWAY_CONFIG: path.resolve(folder, file) }
}
