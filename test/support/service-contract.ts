/** Contracts of one service, for tests of the gateway. */
import type { DescMessage, FileRegistry } from '@bufbuild/protobuf'
import type { Test } from 'tap'
import { buildContract } from './contract.ts'
import { startTestGateway, type TestGatewayOptions } from './test-gateway.ts'

/** The parts of a `.proto` file. */
export interface ServiceSource {
  /** Default `proto3`. */
  edition?: 'proto3' | 'proto2' | '2023'
  /** Imports besides the options of edge.v1 and google.api, such as `google/protobuf/any.proto`. */
  imports?: readonly string[]
  /** Each as `methodSource` returns it. */
  methods: readonly string[]
  /** Messages and enums. */
  messages: string
  /** Further files by path, which `imports` may name. */
  files?: Record<string, string>
}

export interface ServiceContract {
  readonly contract: FileRegistry
  /** Full name, such as `shop.v1.ShopService`. */
  readonly service: string
  /** @param name without the package. */
  message(name: string): DescMessage
  /** Starts a gateway for the service, see `startTestGateway`. */
  start(
    t: Test,
    respond: TestGatewayOptions['respond'],
    options?: Partial<TestGatewayOptions>,
  ): ReturnType<typeof startTestGateway>
}

/** Returns the source of a method. @param rule of google.api.http, such as `get: "/v1/{id}"`. */
export function methodSource(
  name: string,
  signature: `(${string}) returns (${string})`,
  rule: string,
  policy = 'access: ACCESS_PUBLIC',
): string {
  return `rpc ${name}${signature} {
    option (google.api.http) = { ${rule} };
    option (edge.v1.policy) = { ${policy} };
  }`
}

/** Compiles a contract. @param service full name of its service. @throws Error if the source does not compile. */
export function buildService(service: string, source: ServiceSource): ServiceContract {
  const { edition = 'proto3', imports = [], methods, messages, files } = source
  const dot = service.lastIndexOf('.')
  const contract = buildContract({
    ...files,
    'service.proto': [
      `${edition.startsWith('proto') ? 'syntax' : 'edition'} = "${edition}";`,
      `package ${service.slice(0, dot)};`,
      ...['edge/v1/options.proto', 'google/api/annotations.proto', ...imports].map(name => `import "${name}";`),
      `service ${service.slice(dot + 1)} { ${methods.join('\n')} }`,
      messages,
    ].join('\n'),
  })
  return {
    contract,
    service,
    message: name => contract.getMessage(`${service.slice(0, dot)}.${name}`) as DescMessage,
    start: (t, respond, options) => startTestGateway(t, { contract, service, respond, ...options }),
  }
}
