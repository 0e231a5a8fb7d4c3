/** Sends control characters in every string field of every method that the services implement. */
import { randomUUID } from 'node:crypto'
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageShape,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf'
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'
import t from 'tap'
import { Format, methodName, readContract, rulesOf } from '#runtime/grpc/contract.ts'
import { Code, fromGrpcError, type StatusError } from '#runtime/status.ts'
import { startAuthSystem } from '../auth-svc/auth-system.ts'
import { startUserSystem } from '../user-svc/user-system.ts'

const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))
// NUL, other C0 controls, DEL, C1, line separator, non-character, byte-order mark.
const OTHERS = ['\u0001', '\t', '\u001f', '\u007f', '\u0085', '\u2028', '\ufffe', '\ufeff']

/** Path of a string field inside a request: fields by proto name. */
type FieldPath = readonly DescField[]

function stringPaths(message: DescMessage, prefix: FieldPath = []): FieldPath[] {
  return message.fields.flatMap(field => {
    const path = [...prefix, field]
    if (field.message !== undefined && field.fieldKind === 'message') {
      const isWellKnown = field.message.typeName.startsWith('google.protobuf.')
      return isWellKnown ? [] : stringPaths(field.message, path)
    }
    return field.scalar === ScalarType.STRING ? [path] : []
  })
}

/** A value that the rules of the field accept. */
function validText(field: DescField): string {
  const rules = rulesOf(field)
  if (rules?.format === Format.UUID) return randomUUID()
  if (rules?.format === Format.EMAIL) return `${randomUUID()}@example.com`
  return rules?.in[0] ?? 'plum Trombone 41'
}

/** The JSON of a request with valid values, and `text` appended to the value of one field. */
function requestWith(message: DescMessage, [target, ...rest]: FieldPath, text: string): JsonObject {
  const json: JsonObject = {}
  for (const field of message.fields) {
    const isTarget = field === target
    // Valid page tokens are signed, and entity tags need a document.
    const isOmitted = !isTarget && (field.name === 'page_token' || field.name === 'if_match')
    if (field.fieldKind === 'message' && field.message !== undefined) {
      if (!field.message.typeName.startsWith('google.protobuf.')) {
        json[field.name] = requestWith(field.message, isTarget ? rest : [], text)
      }
    } else if (field.scalar === ScalarType.STRING && !isOmitted) {
      const value: JsonValue = isTarget ? validText(field) + text : validText(field)
      json[field.name] = field.fieldKind === 'list' ? [value] : value
    }
  }
  return json
}

/** Calls a method with the bytes of a message. @returns the error; undefined if the call succeeded. */
function call(client: Client, method: DescMethod, message: MessageShape<DescMessage>, token: string) {
  const path = `/${methodName(method)}`
  const serialize = () => Buffer.from(toBinary(method.input, message))
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token}`)
  const options = { deadline: Date.now() + 20_000 }
  return new Promise<StatusError | undefined>(resolve => {
    const done = (error: ServiceError | null) => resolve(error === null ? undefined : fromGrpcError(error))
    if (method.methodKind !== 'server_streaming') {
      client.makeUnaryRequest(path, serialize, bytes => bytes, message, metadata, options, done)
      return
    }
    const stream = client.makeServerStreamRequest(path, serialize, bytes => bytes, message, metadata, options)
    stream.on('error', error => done(error as ServiceError))
    stream.on('data', () => {}).on('end', () => done(null))
  })
}

function methodsOf(services: readonly string[]): DescMethod[] {
  return services.flatMap(name => contract.getService(name)?.methods ?? [])
}

const cases = methodsOf([...contract].flatMap(file => (file.kind === 'service' ? [file.typeName] : []))).flatMap(
  method => stringPaths(method.input).map(path => ({ method, path })),
)

const users = await startUserSystem(t)
const auth = await startAuthSystem(t)
const administrator = await users.createUser({ role: 'admin' })
const tokens = await auth.signUp()
const addressOf = (method: DescMethod) => (method.parent.typeName.startsWith('auth.') ? auth.address : users.address)
const clients = new Map(
  [users.address, auth.address].map(address => [address, new Client(address, credentials.createInsecure())]),
)
t.teardown(() => {
  for (const client of clients.values()) client.close()
})

function tokenFor(method: DescMethod): string {
  if (method.parent.typeName.startsWith('auth.')) return tokens.accessToken
  const isForServices = method.parent.typeName === 'user.v1.AccountService'
  return isForServices ? users.mint.service() : users.tokenOf(administrator)
}

function send(method: DescMethod, path: FieldPath, text: string): Promise<StatusError | undefined> {
  const json = requestWith(method.input, path, text)
  const message = fromJson(method.input, json) ?? create(method.input)
  return call(clients.get(addressOf(method)) as Client, method, message, tokenFor(method))
}

const jsonPath = (path: FieldPath) =>
  path.map(field => (field.fieldKind === 'list' ? `${field.jsonName}[0]` : field.jsonName)).join('.')

t.test('every string field of every method rejects NUL with a violation that names the field', async t => {
  t.ok(cases.length > 40, `${cases.length} fields`)
  for (const { method, path } of cases) {
    const error = await send(method, path, '\0')
    const name = `${methodName(method)} ${jsonPath(path)}`
    t.equal(error?.code, Code.INVALID_ARGUMENT, name)
    t.ok(
      error?.violations.some(({ field }) => field === jsonPath(path)),
      `${name} is among ${error?.violations.map(({ field }) => field)}`,
    )
  }
})

t.test('no control character in a string field causes an internal error', async t => {
  for (const { method, path } of cases) {
    for (const text of OTHERS) {
      const error = await send(method, path, text)
      const isInternal = error !== undefined && [Code.INTERNAL, Code.UNKNOWN].includes(error.code)
      t.notOk(
        isInternal,
        `${methodName(method)} ${jsonPath(path)} U+${text.charCodeAt(0).toString(16)}: ${error?.message}`,
      )
    }
  }
})
