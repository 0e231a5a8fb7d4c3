/** `gatehouse openapi`: prints the OpenAPI document that the gateway serves at `/openapi.json`. */
import { describeApi } from '../generation.ts'
import { CONFIG_HELP, CONFIG_OPTION, type Command, EXIT, parseArguments, withConfig } from './command.ts'
import { readBoot } from './inspection.ts'

export const openapi: Command = {
  name: 'openapi',
  summary: 'Print the OpenAPI document',
  help: `Usage: gatehouse openapi [--config FILE]

Prints the OpenAPI 3.1 document that the gateway serves at /openapi.json. The
setting PUBLIC_URL is its server.

Options:
${CONFIG_HELP}

Exit codes: 0 ok, 1 the gateway would not start, 2 usage.`,
  async run(args, context) {
    const { values } = parseArguments(args, CONFIG_OPTION)
    const { plan, configuration, settings } = readBoot(withConfig(context, values.config))
    context.print(JSON.stringify(describeApi(plan.routes, configuration, settings), null, 2))
    return EXIT.ok
  },
}
