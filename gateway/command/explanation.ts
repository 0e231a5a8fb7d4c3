/** What the gateway would do with a request, and each reason for which it would reject it. */
import { type FileRegistry, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf'
import type { Role } from '#runtime/auth/principal.ts'
import { ACCESS_TOKEN, SIGNING_ALGORITHM } from '#runtime/auth/token-profile.ts'
import type { Route } from '../contract/route-table.ts'
import type { Problem } from '../http/problem.ts'
import type { UpstreamContract } from '../upstream/upstream-contract.ts'
import type { Boot } from './inspection.ts'
import type { OfflineGateway, OfflineOutcome, OfflineRequest } from './offline-gateway.ts'
import { listRoutes, type RouteEntry } from './route-listing.ts'

/** A reason for which the gateway rejects the request. */
export type Refusal = Pick<Problem, 'status' | 'code' | 'detail' | 'errors'>

export interface TokenDescription {
  readonly header: unknown
  readonly claims: unknown
  /** What differs from the tokens that the gateway accepts. */
  readonly defects: readonly string[]
}

export interface Explanation {
  readonly request: string
  readonly route: RouteEntry | undefined
  readonly token: TokenDescription | undefined
  /** Full name of the request message. */
  readonly messageType: string | undefined
  /** The request message as ProtoJSON: after all refusals are cured, if that is possible. */
  readonly message: JsonValue | undefined
  /** In the order in which the gateway would report them, each after the ones before are cured. */
  readonly refusals: readonly Refusal[]
  /** What happens to the request as it is. */
  readonly result: string
}

/** More than the number of cures. */
const MAX_ATTEMPTS = 6

/** Sends the request to the offline gateway; cures each refusal, and sends it again to find the next one. */
export async function explainRequest(
  boot: Boot,
  gateway: OfflineGateway,
  request: OfflineRequest,
): Promise<Explanation> {
  const token = tokenOf(request)
  let current: OfflineRequest = token === undefined ? request : withToken(request, gateway.sign(token))
  let outcome = await gateway.send(current)
  const first = outcome
  const refusals: Refusal[] = []
  for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt++) {
    const refusal = refusalOf(outcome)
    if (refusal === undefined) break
    refusals.push(refusal)
    const cured = cure(current, refusal, outcome.route, gateway)
    if (cured === undefined) break
    current = cured
    outcome = await gateway.send(current)
  }
  const { route } = first
  const registry = route && (boot.plan.contracts.get(route.upstream) as UpstreamContract).registry
  return {
    request: `${request.method} ${request.target}`,
    route:
      route &&
      listRoutes(boot).routes.find(entry => entry.method === route.httpMethod && entry.path === route.template.source),
    token: token === undefined ? undefined : describeToken(token, boot),
    messageType: route?.descriptor.input.typeName,
    message: route && registry && outcome.message && jsonOf(route, outcome.message, registry),
    refusals,
    result: resultOf(first, refusals, boot),
  }
}

function resultOf(
  { route, message, response }: OfflineOutcome,
  [first]: readonly Refusal[],
  { configuration }: Boot,
): string {
  if (first !== undefined) return `refused with ${first.status} ${first.code}`
  if (message === undefined || route === undefined)
    return `answered with ${response.statusCode}, without a call of an upstream`
  const upstream = configuration.file.upstreams.find(({ name }) => name === route.upstream)
  return `sent to upstream ${route.upstream} at ${upstream?.address}`
}

/** Undefined if the request was sent to the upstream, or has its response without it. */
function refusalOf({ message, response }: OfflineOutcome): Refusal | undefined {
  if (message !== undefined || response.statusCode < 400) return undefined
  const { status, code, detail, errors } = response.json<Problem>()
  return { status, code, detail, ...(errors !== undefined && { errors }) }
}

/** Returns the request without the reason of its refusal; undefined if the cure is not known. */
function cure(
  request: OfflineRequest,
  { status, code }: Refusal,
  route: Route | undefined,
  gateway: OfflineGateway,
): OfflineRequest | undefined {
  const [role = 'user'] = (route?.policy.roles ?? []) as readonly Role[]
  if (status === 401 || code === 'permission_denied') return withToken(request, gateway.issue(role))
  if (code === 'cross_site_request') {
    return withHeaders(request, { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' })
  }
  if (code === 'unsupported_media_type') {
    return withHeaders(request, { 'content-type': 'application/json', 'content-encoding': 'identity' })
  }
  return undefined
}

function withToken(request: OfflineRequest, token: string): OfflineRequest {
  return withHeaders(request, { authorization: `Bearer ${token}` })
}

/** Replaces headers, whose names are lower case. */
function withHeaders(request: OfflineRequest, headers: Record<string, string>): OfflineRequest {
  return { ...request, headers: { ...request.headers, ...headers } }
}

function tokenOf({ headers }: OfflineRequest): string | undefined {
  const { authorization } = headers
  return typeof authorization === 'string' ? /^bearer +(\S+)$/i.exec(authorization)?.[1] : undefined
}

function describeToken(token: string, { settings }: Boot): TokenDescription {
  const [header, claims] = token.split('.').map(parsePart)
  const { alg, typ } = (header ?? {}) as Record<string, unknown>
  const { iss, aud, exp } = (claims ?? {}) as Record<string, unknown>
  const missing = ACCESS_TOKEN.requiredClaims.filter(name => !Object.hasOwn(claims ?? {}, name))
  const expired = typeof exp === 'number' && exp * 1000 <= Date.now()
  const differs = (name: string, value: unknown, expected: string) =>
    value === expected ? [] : [`${name} is ${JSON.stringify(value) ?? 'missing'}, and must be "${expected}"`]
  return {
    header,
    claims,
    defects:
      header === undefined || claims === undefined
        ? ['it is not a JSON Web Token']
        : [
            ...differs('alg', alg, SIGNING_ALGORITHM),
            ...differs('typ', typ, ACCESS_TOKEN.typ),
            ...differs('iss', iss, settings.TOKEN_ISSUER),
            ...differs('aud', aud, settings.TOKEN_AUDIENCE),
            ...(expired ? [`it expired at ${new Date(exp * 1000).toISOString()}`] : []),
            ...(missing.length > 0 ? [`it has no ${missing.join(', ')}`] : []),
          ],
  }
}

function parsePart(part: string): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString())
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function jsonOf({ descriptor }: Route, message: Uint8Array, registry: FileRegistry): JsonValue {
  return toJson(descriptor.input, fromBinary(descriptor.input, message), { registry })
}
