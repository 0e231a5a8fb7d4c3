#!/usr/bin/env node
/** The program `gatehouse`: runs the subcommand that the command line names. */
import { ContractError } from '#runtime/grpc/contract.ts'
import { assertNodeVersion } from '#runtime/process/boot.ts'
import { SettingsError } from '#runtime/process/env.ts'
import { MIN_NODE_MAJOR } from '../config.ts'
import { check } from './check.ts'
import { type Command, type CommandContext, EXIT, type ExitCode, UsageError } from './command.ts'
import { explain } from './explain.ts'
import { openapi } from './openapi.ts'
import { policyDiff } from './policy-diff.ts'
import { proto } from './proto.ts'
import { routes } from './routes.ts'
import { serve } from './serve.ts'

const COMMANDS: readonly Command[] = [serve, check, routes, explain, openapi, policyDiff, proto]

const HELP = `Usage: gatehouse COMMAND [ARGUMENTS]

A gateway that serves gRPC services as a REST API, by gateway.yaml.

Commands:
${COMMANDS.map(({ name, summary }) => `  ${name.padEnd(13)}${summary}`).join('\n')}

gatehouse COMMAND --help describes a command.

Exit codes: 0 ok, 1 findings, 2 usage.`

const context: CommandContext = {
  env: process.env,
  folder: process.cwd(),
  print: line => void process.stdout.write(`${line}\n`),
  printError: line => void process.stderr.write(`${line}\n`),
}

async function run([name, ...args]: readonly string[]): Promise<ExitCode | undefined> {
  if (name === undefined) throw new UsageError('no command given')
  const command = COMMANDS.find(candidate => candidate.name === name)
  const asksForHelp = ['--help', '-h'].includes(name) || name === 'help'
  if (command === undefined && !asksForHelp) throw new UsageError(`unknown command: ${name}`)
  if (command === undefined || args.some(argument => ['--help', '-h'].includes(argument))) {
    context.print(command?.help ?? HELP)
    return EXIT.ok
  }
  return command.run(args, context)
}

// The reader of a pipe may need the first lines only, as `head` does.
process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error
})

try {
  assertNodeVersion(process.versions.node, MIN_NODE_MAJOR)
  const code = await run(process.argv.slice(2))
  // Not `exit`, which would truncate output to a pipe.
  if (code !== undefined) process.exitCode = code
} catch (error) {
  context.printError(`gatehouse: ${describe(error)}`)
  process.exitCode = error instanceof UsageError ? EXIT.usage : EXIT.findings
}

function describe(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}. See gatehouse --help`
  const isInvalid = error instanceof SettingsError || error instanceof ContractError
  // Any other error is a defect.
  return isInvalid ? error.message : ((error as Error).stack ?? String(error))
}
