/** The options that only a trusted contract may have, since they give it access to secrets or to the CPU of the gateway. */
import type { DescField, DescMessage, DescService } from '@bufbuild/protobuf'
import { cookieOf, rulesOf } from '#runtime/grpc/contract.ts'
import { isRevocation, responseFields } from './edge-fields.ts'

/** @returns one message for each kind of such an option that the services have, with the names of the fields. */
export function findTrustedOptions(services: readonly DescService[]): string[] {
  const methods = services.flatMap(service => service.methods)
  const isIdentity = (field: DescField) => cookieOf(field) !== undefined || isRevocation(field)
  // A cookie field of a request could ask for the refresh token.
  const identity = methods.flatMap(({ input, output }) => [
    ...input.fields.filter(field => cookieOf(field) !== undefined),
    ...responseFields(output).filter(isIdentity),
  ])
  // RegExp takes exponential time for some patterns. Those of buf.validate are matched by RE2.
  const messages = [...reachable(methods.flatMap(({ input, output }) => [input, output]))]
  const patterns = messages.flatMap(({ fields }) => fields).filter(field => (rulesOf(field)?.pattern ?? '') !== '')
  return [
    ...requires('cookies and revocations', identity),
    ...requires('patterns of edge.v1.rules (instead of buf.validate)', patterns),
  ]
}

function requires(what: string, fields: readonly DescField[]): string[] {
  if (fields.length === 0) return []
  const names = new Set(fields.map(({ parent, name }) => `${parent.typeName}.${name}`))
  return [`${what} in a contract read by reflection require \`trusted: true\`: ${[...names].join(', ')}`]
}

function* reachable(messages: Iterable<DescMessage>, seen = new Set<DescMessage>()): Iterable<DescMessage> {
  for (const message of messages) {
    if (seen.has(message)) continue
    seen.add(message)
    yield message
    yield* reachable(
      message.fields.flatMap(field => field.message ?? []),
      seen,
    )
  }
}
