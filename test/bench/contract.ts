/** The contract of the measured gateways, and the user that every response contains. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { create, type DescMessage, toBinary, toJson } from '@bufbuild/protobuf'
import { parseContract, serviceOf } from '#runtime/grpc/contract.ts'
import { buildImage } from '../support/contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'

export const SERVICE = 'bench.v1.UserService'
/** Methods that the backend implements. The other methods of a larger contract are never called. */
export const SERVED_METHODS = ['GetUser', 'GetPublicUser']

export const USER_ID = '0199f2ab-6a51-7c7e-9f5e-3d1f8f0c2b7a'
/** Path of the method for authenticated callers. */
export const USER_PATH = `/v1/users/${USER_ID}`
/** Path of the public method. */
export const PUBLIC_USER_PATH = `/v1/public/users/${USER_ID}`

/** A contract on disk and the response to its methods. */
export interface BenchContract {
  /** Path of the descriptor image for `gateway.yaml`. */
  readonly image: string
  /** The user as a serialized message of 222 bytes, like one of user.v1. */
  readonly message: Uint8Array
  readonly json: string
}

/**
 * Writes the descriptor image of a contract.
 * @param routes number of routes, including the two of `SERVED_METHODS`.
 */
export function writeContract(routes: number): BenchContract {
  const bytes = buildImage({ 'bench/v1/user.proto': contractText(routes - SERVED_METHODS.length) })
  const image = path.join(BENCH_DIRECTORY, `contract-${routes}.binpb`)
  writeFileSync(image, bytes)
  const output = serviceOf(parseContract(bytes), SERVICE).method['getUser']?.output as DescMessage
  const user = create(output, {
    id: USER_ID,
    email: 'margaret.hamilton1@example.com',
    name: 'Margaret Heafield Hamilton, Director of the Software Engineering Division',
    role: 'moderator',
    department: 'Instrumentation Laboratory, Cambridge',
    createdAt: { seconds: 1_790_000_000n, nanos: 123_000_000 },
    updatedAt: { seconds: 1_790_086_400n, nanos: 456_000_000 },
  } as never)
  return { image, message: toBinary(output, user), json: JSON.stringify(toJson(output, user)) }
}

function contractText(idleRoutes: number): string {
  const idle = Array.from(
    { length: idleRoutes },
    (_, at) => `
  rpc GetResource${at}(GetUserRequest) returns (User) {
    option (google.api.http) = {get: "/v1/resources${at}/{id}/parts"};
    option (edge.v1.policy) = {access: ACCESS_USER};
  }`,
  )
  return `
syntax = "proto3";
package bench.v1;

import "edge/v1/options.proto";
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";

service UserService {
  rpc GetUser(GetUserRequest) returns (User) {
    option (google.api.http) = {get: "/v1/users/{id}"};
    option (edge.v1.policy) = {access: ACCESS_USER};
  }

  rpc GetPublicUser(GetUserRequest) returns (User) {
    option (google.api.http) = {get: "/v1/public/users/{id}"};
    option (edge.v1.policy) = {access: ACCESS_PUBLIC};
  }
${idle.join('\n')}
}

message GetUserRequest {
  string id = 1 [(edge.v1.rules) = {
    required: true
    format: FORMAT_UUID
  }];
}

message User {
  string id = 1;
  string email = 2;
  string name = 3;
  string role = 4;
  string department = 5;
  google.protobuf.Timestamp created_at = 6;
  google.protobuf.Timestamp updated_at = 7;
}
`
}
