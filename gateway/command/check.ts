/** `gatehouse check`: finds everything that would stop the boot, without a connection. */
import type { Command } from './command.ts'
import { CONFIG_HELP, CONFIG_OPTION, EXIT, parseArguments, withConfig } from './command.ts'
import { type Boot, inspectBoot, unknownContracts } from './inspection.ts'
import { createOfflineGateway } from './offline-gateway.ts'

export const check: Command = {
  name: 'check',
  summary: 'Find everything that would stop the start of the gateway',
  help: `Usage: gatehouse check [--config FILE]

Reads the settings, gateway.yaml and the contracts as the start of the gateway
does, without a connection, and prints all problems, one per line: file and line
where there is one, what is wrong, and the cure. Methods that are not served are
warnings.

Options:
${CONFIG_HELP}

Exit codes: 0 the gateway starts, 1 problems, 2 usage.`,
  async run(args, context) {
    const { values } = parseArguments(args, CONFIG_OPTION)
    const { boot, problems } = inspectBoot(withConfig(context, values.config))
    // A defect of the gateway would appear here: the app is built as at the start.
    if (boot !== undefined && problems.length === 0) await (await createOfflineGateway(boot)).close()
    const warnings = boot === undefined ? [] : warningsOf(boot)
    for (const problem of problems) context.print(problem)
    for (const warning of warnings) context.print(`warning: ${warning}`)
    const routes = boot?.plan.routes.length ?? 0
    const summary = [count(routes, 'route'), count(problems.length, 'problem'), count(warnings.length, 'warning')]
    context.print(summary.join(', '))
    return problems.length === 0 ? EXIT.ok : EXIT.findings
  },
}

function warningsOf({ settings, configuration, plan }: Boot): string[] {
  const omitted = plan.omitted.map(({ name, reason }) => `${name}: ${reason}`)
  const warnings = [...omitted, ...unknownContracts(configuration)]
  // If a method verifies tokens, a missing REDIS_URL is a problem.
  if (settings.REDIS_URL === undefined && plan.verifying.length === 0) {
    warnings.push('REDIS_URL is not set: each process of the gateway counts its rate limits alone')
  }
  return warnings
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
