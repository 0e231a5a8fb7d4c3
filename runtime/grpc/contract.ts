/**
 * The contract as data: the image that buf builds of the `.proto` files, and our options on it.
 */
import { readFileSync } from 'node:fs'
import {
  createFileRegistry,
  type DescField,
  type DescMethod,
  type DescOneof,
  type DescService,
  type FileRegistry,
  fromBinary,
  getOption,
  hasOption,
} from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import {
  Access as AccessLevel,
  type Cookie,
  cookie,
  etag,
  Format,
  if_match,
  inline,
  type Policy,
  policy,
  type Rules,
  rules,
  SameSite,
} from '#proto/edge/v1/options_pb.js'
import { http } from '#proto/google/api/annotations_pb.js'
import type { HttpRule } from '#proto/google/api/http_pb.js'

export type { Cookie, HttpRule, Policy, Rules }
export { AccessLevel, Format, SameSite }

export class ContractError extends Error {
  override name = 'ContractError'
}

/** @param image the FileDescriptorSet of `buf build --as-file-descriptor-set`. */
export function parseContract(image: Uint8Array): FileRegistry {
  return createFileRegistry(fromBinary(FileDescriptorSetSchema, image))
}

export function readContract(path: string | URL): FileRegistry {
  return parseContract(readFileSync(path))
}

export function serviceOf(contract: FileRegistry, typeName: string): DescService {
  const service = contract.getService(typeName)
  if (service === undefined) throw new ContractError(`The contract has no service ${typeName}`)
  return service
}

export function policyOf(method: DescMethod): Policy | undefined {
  return hasOption(method, policy) ? getOption(method, policy) : undefined
}

/**
 * The policy of a method that is to be served.
 * @throws ContractError unless it says who may call, in a way that this build knows: nothing is open by omission.
 */
export function requirePolicy(method: DescMethod): Policy {
  const found = policyOf(method)
  const isKnown = found !== undefined && AccessLevel[found.access] !== undefined
  if (!isKnown || found.access === AccessLevel.UNSPECIFIED) {
    throw new ContractError('has no policy: add `option (edge.v1.policy) = {access: …}`')
  }
  if ((found.access === AccessLevel.ROLES) !== found.roles.length > 0) {
    throw new ContractError('roles go with ACCESS_ROLES, and it with them')
  }
  if (found.tolerateInvalidToken && found.access !== AccessLevel.OPTIONAL) {
    throw new ContractError('tolerate_invalid_token goes with ACCESS_OPTIONAL')
  }
  const { seconds = 1n, nanos = 0 } = found.timeout ?? {}
  if (seconds < 0n || nanos < 0 || (seconds === 0n && nanos === 0))
    throw new ContractError('its timeout is not positive')
  return found
}

export function httpRuleOf(method: DescMethod): HttpRule | undefined {
  return hasOption(method, http) ? getOption(method, http) : undefined
}

export function rulesOf(field: DescField): Rules | undefined {
  return hasOption(field, rules) ? getOption(field, rules) : undefined
}

export function cookieOf(field: DescField): Cookie | undefined {
  return hasOption(field, cookie) ? getOption(field, cookie) : undefined
}

/** Whether the field of a request is If-Match. */
export function isIfMatch(field: DescField): boolean {
  return hasOption(field, if_match) && getOption(field, if_match)
}

/** Whether the field of a request comes by a header of its own, and so by neither body, path nor query. */
export function isCarried(field: DescField): boolean {
  return cookieOf(field) !== undefined || isIfMatch(field)
}

/** Whether the field of a response is its ETag. */
export function isEtag(field: DescField): boolean {
  return hasOption(field, etag) && getOption(field, etag)
}

export function isInline(oneof: DescOneof): boolean {
  return hasOption(oneof, inline) && getOption(oneof, inline)
}

/** `auth.v1.AuthService/Login`, as logs and errors name a method. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`
}
