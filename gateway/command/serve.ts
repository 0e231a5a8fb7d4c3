/** `gatehouse serve`: starts the gateway, as `gateway/main.ts` does. */
import { CONFIG_HELP, CONFIG_OPTION, type Command, parseArguments, withConfig } from './command.ts'

export const serve: Command = {
  name: 'serve',
  summary: 'Serve the API of gateway.yaml until SIGTERM or SIGINT',
  help: `Usage: gatehouse serve [--config FILE]

Serves the API of gateway.yaml. Settings are environment variables, such as
GATEWAY_PORT (3000) and GATEWAY_METRICS_PORT (9464). Without REDIS_URL, rate
limits are counted by each process, and no method may require a token.
SIGHUP reloads gateway.yaml. SIGTERM and SIGINT finish the requests in progress.

Options:
${CONFIG_HELP}

Exit codes: 0 stopped by a signal, 1 the gateway cannot start, 2 usage.`,
  async run(args, context) {
    const { values } = parseArguments(args, CONFIG_OPTION)
    // Workers inherit the environment.
    Object.assign(context.env, withConfig(context, values.config))
    await import('../main.ts')
    return undefined
  },
}
