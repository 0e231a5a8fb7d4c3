/** A shop behind the gateway, and the subcommands of `gatehouse` run on it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Test } from 'tap'
import type { Command, CommandContext, ExitCode } from '../../../gateway/command/command.ts'
import { buildImage } from '../../support/contract.ts'

const OPTIONS = 'import "edge/v1/options.proto"; import "google/api/annotations.proto";'

/** Methods of each access level, a stream, and a method that cannot be served. */
const SHOP = `syntax = "proto3";
package shop.v1;
${OPTIONS}
message Item { string id = 1; string name = 2 [(edge.v1.rules) = {min_length: 2}]; int64 price = 3; }
message Empty {}
message Basket { string token = 1 [(edge.v1.cookie) = {name: "basket", path: "/"}]; string note = 2; }
service Shop {
  rpc ListItems(Empty) returns (stream Item) {
    option (google.api.http) = {get: "/v1/items"};
    option (edge.v1.policy) = {access: ACCESS_PUBLIC};
  }
  rpc GetItem(Item) returns (Item) {
    option (google.api.http) = {get: "/v1/items/{id}"};
    option (edge.v1.policy) = {access: ACCESS_USER};
  }
  rpc CreateItem(Item) returns (Item) {
    option (google.api.http) = {post: "/v1/items" body: "*"};
    option (edge.v1.policy) = {access: ACCESS_ROLES roles: "admin" timeout: {seconds: 5} success_status: 201};
  }
  rpc SetNote(Basket) returns (Empty) {
    option (google.api.http) = {put: "/v1/basket" body: "*"};
    option (edge.v1.policy) = {access: ACCESS_OPTIONAL};
  }
  rpc Upload(stream Item) returns (Empty) {
    option (google.api.http) = {post: "/v1/uploads" body: "*"};
    option (edge.v1.policy) = {access: ACCESS_USER};
  }
}
`

let image: Uint8Array | undefined

/** gateway.yaml of the shop. @param extra further lines of its upstream, indented by four spaces. */
export function shopYaml(extra = ''): string {
  return `upstreams:
  - name: shop
    address: 127.0.0.1:50051
    contract: shop.binpb
    services: [shop.v1.Shop]
${extra}`
}

/** Writes the contract and other files into a folder of the test. */
export function shopFolder(t: Test, files: Record<string, string | Uint8Array> = {}): string {
  image ??= buildImage({ 'shop/v1/shop.proto': SHOP })
  const folder = t.testdir({})
  for (const [name, content] of Object.entries({ 'shop.binpb': image, 'gateway.yaml': shopYaml(), ...files })) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    writeFileSync(path.join(folder, name), content)
  }
  return folder
}

export interface Outcome {
  readonly code: ExitCode | undefined
  /** Standard output. */
  readonly text: string
  readonly lines: readonly string[]
  readonly errors: readonly string[]
}

/** Runs a subcommand in a folder. @param env default: without settings. */
export async function runCommand(
  command: Command,
  folder: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const lines: string[] = []
  const errors: string[] = []
  const context: CommandContext = {
    env,
    folder,
    print: line => void lines.push(line),
    printError: line => void errors.push(line),
  }
  const code = await command.run(args, context)
  return { code, text: lines.join('\n'), lines, errors }
}
