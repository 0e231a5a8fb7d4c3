/**
 * Compares the CPU time of the compiled codec and the reference codec per request, interleaved in one run.
 *
 *   node test/bench/codec.ts
 */
import { create, type DescMessage, toBinary } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { readContract, serviceOf } from '#runtime/grpc/contract.ts'
import { buildRouteTable } from '../../gateway/contract/route-table.ts'
import type { Codec, RequestInput } from '../../gateway/transcoding/codec.ts'
import { createCompiledCodec } from '../../gateway/transcoding/compiled/compiled-codec.ts'
import { createReferenceCodec } from '../../gateway/transcoding/reference/reference-codec.ts'

const contract = readContract(new URL('../../proto/gen/contract.binpb', import.meta.url))
const routes = buildRouteTable(
  ['user.v1.UserService', 'auth.v1.AuthService'].map(name => ({ service: serviceOf(contract, name), upstream: '' })),
)

const USER = {
  id: '018f3b8e-6d0a-7cc2-9a57-0c1d2e3f4a5b',
  email: 'ada.lovelace@analytical-engines.example',
  name: 'Augusta Ada King, Countess of Lovelace',
  role: 'moderator',
  department: 'Department of Poetical Science and of Analytical Engine Studies',
  createdAt: timestampFromDate(new Date('2026-01-31T12:34:56.789Z')),
  updatedAt: timestampFromDate(new Date('2026-02-28T23:59:59.123Z')),
}
const LOGIN = { email: USER.email, password: 'correct horse battery staple', tokenDelivery: 'cookie' }

const user = bytesOf('user.v1.User', USER)
const users = bytesOf('user.v1.ListUsersResponse', { users: Array.from({ length: 50 }, () => USER) })
const request: RequestInput = { pathValues: [], query: '', body: undefined, cookies: {} }
const byId = { ...request, pathValues: [USER.id] }
const login = { ...request, body: Buffer.from(JSON.stringify(LOGIN)) }

const CASES: [label: string, method: string, repeats: number, run: (codec: Codec) => unknown][] = [
  ['encode GET /v1/users/{id}', 'GetUser', 40_000, codec => codec.encode(byId)],
  [`encode POST login (${login.body.length} bytes)`, 'Login', 20_000, codec => codec.encode(login)],
  [`decode User (${user.length} bytes)`, 'GetUser', 40_000, codec => codec.decode(user)],
  ['decode ListUsers(50)', 'ListUsers', 1000, codec => codec.decode(users)],
]

const ROUNDS = 7
for (const [label, method, repeats, run] of CASES) {
  const route = routes.find(({ descriptor }) => descriptor.name === method)
  if (route === undefined) throw new Error(`The contract has no method ${method}`)
  const codecs = [createCompiledCodec(route, contract), createReferenceCodec(route, contract)]
  const rounds = Array.from({ length: ROUNDS }, () => codecs.map(codec => microseconds(() => run(codec), repeats)))
  const [compiled, reference] = codecs.map((_, index) => median(rounds.map(round => round[index] ?? Number.NaN)))
  console.log(`${label.padEnd(32)} compiled ${compiled?.toFixed(2)} us   reference ${reference?.toFixed(2)} us`)
}

function bytesOf(type: string, content: Record<string, unknown>): Buffer {
  const schema = contract.getMessage(type) as DescMessage
  return Buffer.from(toBinary(schema, create(schema, content)))
}

/** @returns the CPU time of this process per run, in microseconds. */
function microseconds(run: () => unknown, repeats: number): number {
  const before = process.cpuUsage()
  for (let index = 0; index < repeats; index++) run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / repeats
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number
}
