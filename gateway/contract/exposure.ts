/**
 * Policy and HTTP rule of each method of an upstream: from its contract, from gateway.yaml, or from both.
 *
 * The most specific entry of gateway.yaml applies: of the method, of its service, or `default`. Where the contract has a
 * policy as well, the stricter value of each field counts, unless the entry says `override: true`.
 */
import { create, type DescMethod, type DescService } from '@bufbuild/protobuf'
import { type Policy, PolicySchema } from '#proto/edge/v1/options_pb.js'
import { HttpRuleSchema } from '#proto/google/api/http_pb.js'
import { AccessLevel, ContractError, type HttpRule, httpRuleOf, methodName, policyOf } from '#runtime/grpc/contract.ts'
import type { ExternalRules } from './http-rules-file.ts'
import { type PolicyEntries, type PolicyEntry, policyOfEntry } from './policy-entries.ts'
import { compareField, type Order, type PolicyContext, type PolicyField } from './policy-strictness.ts'

/** Policy and HTTP rule of a method. Undefined: it has none. */
export interface MethodExposure {
  readonly policy: Policy | undefined
  readonly rule: HttpRule | undefined
  /** Why the method is not served, although it may have a rule. */
  readonly omission?: string
}

/** Returns how a method is exposed. @throws ContractError if an entry of gateway.yaml weakens the policy of the contract. */
export type Exposure = (method: DescMethod) => MethodExposure

/** The contract as it is, without gateway.yaml. */
export const CONTRACT_ONLY: Exposure = method => ({ policy: policyOf(method), rule: httpRuleOf(method) })

/** Whether clients may call a method with this policy. */
export function isExposed({ access }: Policy): boolean {
  return access !== AccessLevel.INTERNAL && access !== AccessLevel.SERVICE
}

export interface ExposureOptions {
  readonly policies: PolicyEntries
  readonly httpRules: ExternalRules
  /** `post`: a method without an HTTP rule is `POST /package.Service/Method` with the message as body. */
  readonly unannotated: 'post' | undefined
  readonly context: PolicyContext
  /** Whether the policies in the contract count. Default true. */
  readonly trustsContract?: boolean
  /** Whether `default` of `policies` applies to a method. Default: to each. */
  readonly hasDefault?: (method: DescMethod) => boolean
}

export function createExposure(options: ExposureOptions): Exposure {
  const { policies, httpRules, unannotated, context, trustsContract = true, hasDefault = () => true } = options

  function entryOf(method: DescMethod): { name: string; entry: PolicyEntry } | undefined {
    const names = [methodName(method), method.parent.typeName, ...(hasDefault(method) ? ['default'] : [])]
    const name = names.find(candidate => Object.hasOwn(policies, candidate))
    return name === undefined ? undefined : { name, entry: policies[name] as PolicyEntry }
  }

  function ruleOf(method: DescMethod, isOpen: boolean): HttpRule | undefined {
    const rule = httpRules.get(methodName(method))?.rule ?? httpRuleOf(method)
    if (rule !== undefined || unannotated === undefined || !isOpen) return rule
    return create(HttpRuleSchema, { pattern: { case: 'post', value: `/${methodName(method)}` }, body: '*' })
  }

  return method => {
    const inContract = trustsContract ? policyOf(method) : undefined
    const found = entryOf(method)
    const policy =
      inContract === undefined || found === undefined
        ? (inContract ?? (found && policyOfEntry(found.entry)))
        : mergePolicies(inContract, found.entry, found.name === methodName(method), context)
    const isOpen = policy === undefined || isExposed(policy)
    // gateway.yaml hides a method, whatever rule it has. A contract whose internal method has a rule contradicts itself.
    const isHidden = !isOpen && policy !== inContract
    if (policy === undefined && !hasDefault(method)) return { policy, rule: undefined, omission: APPEARED }
    const rule = isHidden ? undefined : ruleOf(method, isOpen)
    if (rule !== undefined && policy === undefined && policyOf(method) !== undefined) throw new ContractError(UNTRUSTED)
    return { policy, rule }
  }
}

const APPEARED =
  'the method appeared after gateway.yaml was read and has no policy of its own; `default` applies to it after a reload of gateway.yaml'
const UNTRUSTED =
  'has a policy in its contract, which does not count, because the contract is read by reflection: add an entry to `policies` of the upstream in gateway.yaml, or set `trusted: true`'

/** @param isForMethod whether the entry is for this method only. Then a field that is not stricter is an error. */
function mergePolicies(contract: Policy, entry: PolicyEntry, isForMethod: boolean, context: PolicyContext): Policy {
  const replaced = create(PolicySchema, { ...contract, ...entry.fields })
  if (entry.override) return withoutTolerance(replaced)
  const fields = Object.keys(entry.fields) as PolicyField[]
  const weakened = fields.filter(field => NOT_STRICTER.has(compareField(field, contract, replaced, context)))
  if (isForMethod && weakened.length > 0) {
    throw new ContractError(
      `gateway.yaml weakens ${weakened.join(' and ')} of the policy in the contract; add \`override: true\` if intended`,
    )
  }
  const kept = Object.fromEntries(weakened.map(field => [field, contract[field]]))
  return withoutTolerance(create(PolicySchema, { ...replaced, ...kept }))
}

/** Removes `tolerate_invalid_token` from a policy whose access level no longer allows it. */
function withoutTolerance(policy: Policy): Policy {
  if (policy.access !== AccessLevel.OPTIONAL) policy.tolerateInvalidToken = false
  return policy
}

const NOT_STRICTER: ReadonlySet<Order> = new Set<Order>(['weaker', 'incomparable'])

/** An entry of an upstream that names something that does not exist. */
export interface UnknownName {
  /** Path of the entry in the upstream. */
  readonly entry: readonly PropertyKey[]
  readonly message: string
}

/**
 * Returns the entries of `policies`, and the HTTP rules for one of the services, that name nothing that exists.
 * @param removed names of methods that the contract had when gateway.yaml was read.
 */
export function findUnknownNames(
  services: readonly DescService[],
  { policies, httpRules }: Pick<ExposureOptions, 'policies' | 'httpRules'>,
  removed: Iterable<string> = [],
): UnknownName[] {
  const names = new Set(services.map(({ typeName }) => typeName))
  const methods = new Set([...services.flatMap(service => service.methods).map(methodName), ...removed])
  const unknownPolicies = Object.keys(policies).filter(
    name => name !== 'default' && !names.has(name) && !methods.has(name),
  )
  // The file may have rules for services of other upstreams.
  const unknownRules = [...httpRules].filter(([name]) => names.has(serviceOf(name)) && !methods.has(name))
  return [
    ...unknownPolicies.map(name => ({
      entry: ['policies', name],
      message: `policies: ${name} is neither a service of this upstream nor a method of one`,
    })),
    ...unknownRules.map(([name, { position }]) => ({
      entry: ['httpRules'],
      message: `${position}: the contract has no method ${name}`,
    })),
  ]
}

function serviceOf(method: string): string {
  return method.slice(0, method.indexOf('/'))
}
