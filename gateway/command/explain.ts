/** `gatehouse explain`: shows what the gateway would do with a request, without a network. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { SettingsError } from '#runtime/process/env.ts'
import {
  CONFIG_HELP,
  CONFIG_OPTION,
  type Command,
  type CommandContext,
  EXIT,
  parseArguments,
  UsageError,
  withConfig,
} from './command.ts'
import { type Explanation, explainRequest } from './explanation.ts'
import { readBoot } from './inspection.ts'
import { createOfflineGateway } from './offline-gateway.ts'
import { accessText, limitText } from './route-listing.ts'

const OPTIONS = {
  ...CONFIG_OPTION,
  data: { type: 'string', short: 'd' },
  header: { type: 'string', short: 'H', multiple: true },
  json: { type: 'boolean' },
} as const

export const explain: Command = {
  name: 'explain',
  summary: 'Show route, message, policy and refusals of one request',
  help: `Usage: gatehouse explain [OPTIONS] METHOD URL

Shows what the gateway would do with a request, without a network: the route, the
request message as JSON, policy and rate limits, and each reason for which the
request would be refused. To find the next reason, the command cures one: it takes
a valid token, for example. Of a token, the claims are shown and checked; its
signature and its revocation are not checked.

Options:
  -d, --data BODY     The body, or @FILE to read it. Its default Content-Type is
                      application/json.
  -H, --header LINE   A header, such as 'Authorization: Bearer TOKEN'. Repeatable.
  --json              Print JSON.
${CONFIG_HELP}

Example: gatehouse explain POST /v1/items --data '{"name": "pen"}'

Exit codes: 0 the request would reach the upstream, 1 it would be refused, or the
gateway would not start, 2 usage.`,
  async run(args, context) {
    const { values, positionals } = parseArguments(args, OPTIONS, ['METHOD', 'URL'])
    const [method = '', url = ''] = positionals
    const body = values.data === undefined ? undefined : await readBody(values.data, context)
    const boot = readBoot(withConfig(context, values.config))
    const gateway = await createOfflineGateway(boot)
    const headers = { ...(body && { 'content-type': 'application/json' }), ...parseHeaders(values.header ?? []) }
    const request = { method: method.toUpperCase(), target: targetOf(url), headers, body }
    const explanation = await explainRequest(boot, gateway, request)
    await gateway.close()
    if (values.json) context.print(JSON.stringify(explanation, null, 2))
    else for (const line of describe(explanation)) context.print(line)
    return explanation.refusals.length === 0 ? EXIT.ok : EXIT.findings
  },
}

async function readBody(data: string, { folder }: CommandContext): Promise<Buffer> {
  if (!data.startsWith('@')) return Buffer.from(data)
  try {
    return await readFile(path.resolve(folder, data.slice(1)))
  } catch (cause) {
    throw new SettingsError(`cannot read the body: ${(cause as Error).message}`, { cause })
  }
}

/** @throws UsageError for a line without a colon. */
function parseHeaders(lines: readonly string[]): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const line of lines) {
    const [, name, value] = /^([^:\s]+):\s*(.*?)\s*$/s.exec(line) ?? []
    if (name === undefined || value === undefined) throw new UsageError(`--header ${line}: expected NAME: VALUE`)
    const given = headers[name.toLowerCase()]
    headers[name.toLowerCase()] = given === undefined ? value : [given, value].flat()
  }
  return headers
}

/** Removes the origin of an absolute URL. */
function targetOf(url: string): string {
  const target = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '')
  if (target.startsWith('/')) return target
  if (target === '' || target.startsWith('?')) return `/${target}`
  throw new UsageError(`${url} is neither a path such as /v1/items nor an absolute URL`)
}

function* describe({ request, route, token, messageType, message, refusals, result }: Explanation): Iterable<string> {
  yield `request   ${request}`
  if (route !== undefined) {
    yield `route     ${route.method} ${route.path}`
    yield `rpc       ${route.rpc}${route.stream ? ' (stream)' : ''}, upstream ${route.upstream}`
    yield `access    ${accessText(route)}${route.tolerateInvalidToken ? '; an invalid token counts as none' : ''}`
    const { byAddress, byUser } = route.limits
    if (byAddress !== null) yield `limit     by client address: ${limitText(byAddress)}`
    if (byUser !== null) yield `limit     by user: ${limitText(byUser)}`
    yield `timeout   ${route.timeoutMs} ms`
    yield `success   ${route.successStatus}`
  }
  if (token !== undefined) {
    yield `token     ${JSON.stringify(token.claims)}`
    for (const defect of token.defects) yield `token     ${defect}`
    yield 'token     signature and revocation are not checked'
  }
  if (message !== undefined) {
    yield `message   ${messageType}`
    yield* JSON.stringify(message, null, 2)
      .split('\n')
      .map(line => `          ${line}`)
  }
  for (const { status, code, detail, errors = [] } of refusals) {
    yield `refused   ${status} ${code}: ${detail}`
    for (const { field, description } of errors) yield `          ${field} ${description}`
  }
  yield `result    ${result}`
}
