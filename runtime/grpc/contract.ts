/** Reads the contract: descriptors of the `.proto` files, and the options of `edge.v1` and `google.api` on them. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import {
  createFileRegistry,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescOneof,
  type DescService,
  type FileRegistry,
  fromBinary,
  getOption,
  hasOption,
} from '@bufbuild/protobuf'
import { protoCamelCase } from '@bufbuild/protobuf/reflect'
import { type DescriptorProto, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import {
  Access as AccessLevel,
  type Cookie,
  cookie,
  error,
  etag,
  example,
  Format,
  if_match,
  inline,
  type MethodError,
  message_example,
  type Policy,
  policy,
  type Rules,
  rules,
  SameSite,
} from '#proto/edge/v1/options_pb.js'
import { http } from '#proto/google/api/annotations_pb.js'
import type { HttpRule } from '#proto/google/api/http_pb.js'
import type { Role } from '../auth/principal.ts'

/** All roles. */
export const ROLES = ['user', 'editor', 'moderator', 'admin'] as const satisfies Role[]

export type { Cookie, HttpRule, MethodError, Policy, Rules }
export { AccessLevel, Format, SameSite }

/** A contract that cannot be served: a missing service, or an option that is missing or does not fit. */
export class ContractError extends Error {
  override name = 'ContractError'
}

/**
 * Parses a contract.
 * @param image a serialized FileDescriptorSet, as written by `buf build --as-file-descriptor-set`.
 * @throws Error if the bytes are not a FileDescriptorSet, or an imported file is missing from it.
 */
export function parseContract(image: Uint8Array): FileRegistry {
  const set = fromBinary(FileDescriptorSetSchema, image)
  for (const { messageType } of set.file) setJsonNames(messageType)
  return createFileRegistry(set)
}

/** protoc omits the JSON names that it derives from the names of fields from the descriptors in generated Python code. */
function setJsonNames(messages: readonly DescriptorProto[]): void {
  for (const { field, nestedType } of messages) {
    for (const one of field) if (one.jsonName === '') one.jsonName = protoCamelCase(one.name)
    setJsonNames(nestedType)
  }
}

/** Reads a contract image from a file. @throws ContractError with the path if the file cannot be read. */
export function readImage(path: string | URL): Uint8Array {
  const file = path instanceof URL ? fileURLToPath(path) : path
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new ContractError(`cannot read the contract ${file}: ${(cause as Error).message}. ${HOW_TO_BUILD}`, { cause })
  }
}

/**
 * Reads a contract from a file.
 * @param path of a serialized FileDescriptorSet.
 * @throws ContractError with the path if the file cannot be read or is not a FileDescriptorSet.
 */
export function readContract(path: string | URL): FileRegistry {
  const file = path instanceof URL ? fileURLToPath(path) : path
  const image = readImage(file)
  let contract: FileRegistry
  try {
    contract = parseContract(image)
  } catch (cause) {
    throw new ContractError(`${file} is not a contract image: ${(cause as Error).message}. ${HOW_TO_BUILD}`, { cause })
  }
  // Some other files decode as an empty FileDescriptorSet, because all of their fields are unknown.
  if ([...contract].some(() => true)) return contract
  throw new ContractError(`${file} is not a contract image: it contains no type. ${HOW_TO_BUILD}`)
}

const HOW_TO_BUILD =
  'Build it with `buf build --as-file-descriptor-set -o FILE` or `protoc --include_imports --descriptor_set_out=FILE`'

/**
 * Returns a service of the contract.
 * @param typeName full name without a leading dot, such as `auth.v1.AuthService`.
 * @throws ContractError if the contract has no such service.
 */
export function serviceOf(contract: FileRegistry, typeName: string): DescService {
  const service = contract.getService(typeName)
  if (service !== undefined) return service
  const services = [...contract].flatMap(type => (type.kind === 'service' ? [type.typeName] : [])).sort()
  throw new ContractError(`The contract has no service ${typeName}; it has ${services.join(', ') || 'no service'}`)
}

/** Returns the option `edge.v1.policy` of a method; undefined if it is not set. */
export function policyOf(method: DescMethod): Policy | undefined {
  return hasOption(method, policy) ? getOption(method, policy) : undefined
}

/**
 * Returns the policy of a method that is served. A method without a policy is an error, so that no method is public by
 * omission.
 * @throws ContractError if the policy is missing, or as `assertPolicy`.
 */
export function requirePolicy(method: DescMethod): Policy {
  const found = policyOf(method)
  if (found === undefined) throw new ContractError('has no policy: add `option (edge.v1.policy) = {access: …}`')
  assertPolicy(found)
  return found
}

/**
 * Checks that the fields of a policy fit each other.
 * @throws ContractError if the access level or a role is unknown, its roles or `tolerate_invalid_token` do not fit the access
 * level, or its timeout is not positive.
 */
export function assertPolicy(policy: Policy): void {
  const { access, roles, tolerateInvalidToken, timeout } = policy
  if (AccessLevel[access] === undefined || access === AccessLevel.UNSPECIFIED) {
    throw new ContractError('has no policy: its `edge.v1.policy` has no access level')
  }
  if ((access === AccessLevel.ROLES) !== roles.length > 0) {
    throw new ContractError('roles require ACCESS_ROLES, and ACCESS_ROLES requires roles')
  }
  const unknownRole = roles.find(role => !(ROLES as readonly string[]).includes(role))
  if (unknownRole !== undefined) {
    throw new ContractError(`unknown role "${unknownRole}"; the roles are ${ROLES.join(', ')}`)
  }
  if (tolerateInvalidToken && access !== AccessLevel.OPTIONAL) {
    throw new ContractError('tolerate_invalid_token requires ACCESS_OPTIONAL')
  }
  const { seconds = 1n, nanos = 0 } = timeout ?? {}
  if (seconds < 0n || nanos < 0 || (seconds === 0n && nanos === 0)) {
    throw new ContractError('its timeout is not positive')
  }
}

/** Returns the option `google.api.http` of a method; undefined if it is not set. */
export function httpRuleOf(method: DescMethod): HttpRule | undefined {
  return hasOption(method, http) ? getOption(method, http) : undefined
}

/** Returns the option `edge.v1.rules` of a field; undefined if it is not set. */
export function rulesOf(field: DescField): Rules | undefined {
  return hasOption(field, rules) ? getOption(field, rules) : undefined
}

/** Returns the option `edge.v1.cookie` of a field; undefined if it is not set. */
export function cookieOf(field: DescField): Cookie | undefined {
  return hasOption(field, cookie) ? getOption(field, cookie) : undefined
}

/** Whether a request field is bound to the header If-Match. */
export function isIfMatch(field: DescField): boolean {
  return hasOption(field, if_match) && getOption(field, if_match)
}

/** Whether a request field is bound to a header (a cookie or If-Match), and therefore not to path, query or body. */
export function isHeaderField(field: DescField): boolean {
  return cookieOf(field) !== undefined || isIfMatch(field)
}

/** Whether a response field is sent as the header ETag. */
export function isEtag(field: DescField): boolean {
  return hasOption(field, etag) && getOption(field, etag)
}

/** Returns the errors that the contract declares for a method (option `edge.v1.error`). */
export function declaredErrorsOf(method: DescMethod): readonly MethodError[] {
  return hasOption(method, error) ? getOption(method, error) : []
}

/** Returns the option `edge.v1.example` of a field, or `edge.v1.message_example` of a message; undefined if it is not set. */
export function exampleTextOf(desc: DescField | DescMessage): string | undefined {
  if (desc.kind === 'field') return hasOption(desc, example) ? getOption(desc, example) : undefined
  return hasOption(desc, message_example) ? getOption(desc, message_example) : undefined
}

/** Whether the members of a oneof appear in JSON without the name of the member (option `edge.v1.inline`). */
export function isInline(oneof: DescOneof): boolean {
  return hasOption(oneof, inline) && getOption(oneof, inline)
}

/** Returns the full name of a method for logs, errors and metrics: `auth.v1.AuthService/Login`. */
export function methodName(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`
}
