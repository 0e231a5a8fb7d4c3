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
import { type Cookie, cookie, inline, type Policy, policy, type Rules, rules } from '#proto/edge/v1/options_pb.js'
import { http } from '#proto/google/api/annotations_pb.js'
import type { HttpRule } from '#proto/google/api/http_pb.js'

export { Access as AccessLevel, Format, SameSite } from '#proto/edge/v1/options_pb.js'
export type { Cookie, HttpRule, Policy, Rules }

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

export function httpRuleOf(method: DescMethod): HttpRule | undefined {
  return hasOption(method, http) ? getOption(method, http) : undefined
}

export function rulesOf(field: DescField): Rules | undefined {
  return hasOption(field, rules) ? getOption(field, rules) : undefined
}

export function cookieOf(field: DescField): Cookie | undefined {
  return hasOption(field, cookie) ? getOption(field, cookie) : undefined
}

export function isInline(oneof: DescOneof): boolean {
  return hasOption(oneof, inline) && getOption(oneof, inline)
}

/** `auth.v1.AuthService/Login`, as logs and errors name a method. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`
}
