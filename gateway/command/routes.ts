/** `gatehouse routes`: lists the routes, as a table or as JSON. */
import { CONFIG_HELP, CONFIG_OPTION, type Command, EXIT, parseArguments, withConfig } from './command.ts'
import { readBoot, unknownContracts } from './inspection.ts'
import { accessText, listRoutes, type RouteEntry } from './route-listing.ts'

export const routes: Command = {
  name: 'routes',
  summary: 'List the routes: method, path, RPC, access, rate-limit class, timeout',
  help: `Usage: gatehouse routes [--json] [--config FILE]

Lists the routes of gateway.yaml and its contracts: HTTP method, path, RPC, access
level with roles, rate-limit class, and timeout. A stream is marked.

Options:
  --json              Print JSON, which policy-diff compares.
${CONFIG_HELP}

Exit codes: 0 ok, 1 the gateway would not start, 2 usage.`,
  async run(args, context) {
    const { values } = parseArguments(args, { ...CONFIG_OPTION, json: { type: 'boolean' } } as const)
    const boot = readBoot(withConfig(context, values.config))
    const listing = listRoutes(boot)
    for (const line of unknownContracts(boot.configuration)) context.printError(`warning: ${line}`)
    if (values.json) context.print(JSON.stringify(listing, null, 2))
    else for (const line of table([HEAD, ...listing.routes.map(row)])) context.print(line)
    return EXIT.ok
  },
}

const HEAD = ['METHOD', 'PATH', 'RPC', 'ACCESS', 'CLASS', 'TIMEOUT']

function row({ limits, ...route }: RouteEntry): string[] {
  const classes = new Set([limits.byAddress?.class, limits.byUser?.class].filter(name => name !== undefined))
  return [
    route.method,
    route.path,
    route.stream ? `${route.rpc} (stream)` : route.rpc,
    accessText(route),
    [...classes].join(', '),
    `${route.timeoutMs} ms`,
  ]
}

/** Aligns the columns. */
function table(rows: readonly string[][]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map(cells => cells[column]?.length ?? 0)))
  return rows.map(cells =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
