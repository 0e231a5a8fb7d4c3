/** `gatehouse policy-diff`: compares the access to each route, by two gateway.yaml files or two outputs of `routes --json`. */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'
import { type Acknowledgements, entryText, readAcknowledgements } from './acknowledgements.ts'
import { type Command, type CommandContext, EXIT, parseArguments } from './command.ts'
import { readBoot, unknownContracts } from './inspection.ts'
import { type Change, compareListings, isWeakening } from './policy-changes.ts'
import { listingSchema, listRoutes, type RouteListing } from './route-listing.ts'

const OPTIONS = { acknowledge: { type: 'string' }, json: { type: 'boolean' } } as const

export const policyDiff: Command = {
  name: 'policy-diff',
  summary: 'Compare the access of two configurations; fail on a weakening',
  help: `Usage: gatehouse policy-diff [--acknowledge FILE] [--json] OLD NEW

Compares two gateway.yaml files, or two outputs of 'gatehouse routes --json': added
and removed routes, access levels, roles, rate limits, timeouts. The command fails
if NEW admits what OLD does not, such as a further route without a token, a lower
access level, a further role, a wider rate limit or a longer timeout, unless the
acknowledgement file names the change.

Options:
  --acknowledge FILE  YAML with the intended weakenings. Each entry has the route,
                      the change, its values and a reason; the command prints the
                      entries that are missing, and the ones that are stale.
  --json              Print JSON.

Exit codes: 0 no weakening, or all are acknowledged; 1 a weakening, or a file is
not valid; 2 usage.`,
  async run(args, context) {
    const { values, positionals } = parseArguments(args, OPTIONS, ['OLD', 'NEW'])
    const [from, to] = positionals.map(file => readListing(file, context))
    const changes = compareListings(from as RouteListing, to as RouteListing)
    const weakenings = changes.filter(isWeakening)
    const acknowledged: Acknowledgements =
      values.acknowledge === undefined
        ? { has: () => false, stale: () => [] }
        : readAcknowledgements(path.resolve(context.folder, values.acknowledge))
    const open = weakenings.filter(change => !acknowledged.has(change))
    const stale = acknowledged.stale(weakenings)
    if (values.json)
      context.print(
        JSON.stringify(
          { changes: changes.map(entry => ({ ...entry, acknowledged: acknowledged.has(entry) })), stale },
          null,
          2,
        ),
      )
    else report({ changes, open, stale }, context)
    return open.length === 0 ? EXIT.ok : EXIT.findings
  },
}

interface Report {
  readonly changes: readonly Change[]
  /** Weakenings that are not acknowledged. */
  readonly open: readonly Change[]
  readonly stale: readonly string[]
}

function report({ changes, open, stale }: Report, { print }: CommandContext): void {
  const acknowledged = changes.filter(change => isWeakening(change) && !open.includes(change))
  section('Weaker: callers gain access', open, print)
  section('Weaker, acknowledged', acknowledged, print)
  section(
    'Stricter: callers lose access',
    changes.filter(({ order }) => order === 'stricter'),
    print,
  )
  section(
    'Other changes',
    changes.filter(({ order }) => order === 'same'),
    print,
  )
  if (changes.length === 0) print('No changes')
  for (const entry of stale) print(`warning: stale acknowledgement: ${entry}`)
  if (open.length === 0) return
  print('')
  print('To acknowledge the weakenings, add these entries, with a reason, to the file of --acknowledge:')
  print('')
  print('acknowledged:')
  for (const change of open) entryText(change).forEach(print)
}

function section(title: string, changes: readonly Change[], print: CommandContext['print']): void {
  if (changes.length === 0) return
  print(`${title}:`)
  for (const { route, rpc, change, from, to } of changes) print(`  ${route} (${rpc}) ${change}: ${from} -> ${to}`)
}

/** @throws SettingsError if the file is not valid. */
function readListing(file: string, { env, folder }: CommandContext): RouteListing {
  const resolved = path.resolve(folder, file)
  const json = readJson(resolved)
  if (json === undefined) {
    const boot = readBoot({ ...env, GATEWAY_CONFIG: resolved })
    const unknown = unknownContracts(boot.configuration)
    // A comparison without these routes could miss a weakening.
    if (unknown.length > 0) throw new SettingsError(unknown.join('\n'))
    return listRoutes(boot)
  }
  const { data, error } = listingSchema.safeParse(json)
  if (data !== undefined) return data
  throw new SettingsError(`${file} is not the output of gatehouse routes --json: ${z.prettifyError(error)}`)
}

/** The value of a JSON file; undefined for a file in another format. */
function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw new SettingsError(`cannot read ${file}: ${(error as Error).message}`, { cause: error })
  }
}
