/** The documents of APIs of others, from the .proto files of Google's cloud (npm package google-proto-files). */
import { readFileSync } from 'node:fs'
import { create, type DescService, type FileRegistry, setExtension } from '@bufbuild/protobuf'
import { MethodOptionsSchema } from '@bufbuild/protobuf/wkt'
import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { Access, PolicySchema, policy } from '#proto/edge/v1/options_pb.js'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildApiDocument } from '../../../../gateway/api-reference/api-document.ts'
import { buildRouteTable, type OmittedRoute } from '../../../../gateway/contract/route-table.ts'
import { limitsSchema } from '../../../../gateway/edge/limits/limit-classes.ts'
import { buildContract } from '../../../support/contract.ts'
import { checkExamples, type Document } from '../../../support/document-examples.ts'

t.setTimeout(300_000)

/** Reads a .proto file of Google and what it imports, by path. */
function readProtos(...names: string[]): Record<string, string> {
  const files: Record<string, string> = {}
  const pending = [...names]
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    // The contracts of tests have these anyway.
    if (
      name in files ||
      name.startsWith('google/protobuf/') ||
      /^google\/api\/(annotations|field_behavior|http|httpbody)\.proto$/.test(name)
    )
      continue
    const text = readFileSync(new URL(`../../../../node_modules/google-proto-files/${name}`, import.meta.url), 'utf8')
    files[name] = text
    pending.push(...Array.from(text.matchAll(/^import (?:public )?"(.*)";/gm), ([, imported = '']) => imported))
  }
  return files
}

/** Gives each method of the services a policy, which foreign contracts do not have. */
function withPolicies(contract: FileRegistry, services: readonly string[]): DescService[] {
  return services.map(name => {
    const service = serviceOf(contract, name)
    for (const { proto } of service.methods) {
      proto.options ??= create(MethodOptionsSchema)
      setExtension(proto.options, policy, create(PolicySchema, { access: Access.USER }))
    }
    return service
  })
}

const ROOTS = [
  'google/cloud/compute/v1/compute.proto',
  'google/cloud/dialogflow/v2/session.proto',
  'google/cloud/kms/v1/service.proto',
  'google/container/v1/cluster_service.proto',
  'google/logging/v2/logging.proto',
  'google/pubsub/v1/pubsub.proto',
  'google/spanner/v1/spanner.proto',
]

const contract = buildContract(readProtos(...ROOTS))

function servicesOf(root: string): string[] {
  return [...contract].flatMap(type =>
    type.kind === 'service' && `${type.file.name}.proto` === root ? [type.typeName] : [],
  )
}

for (const root of ROOTS) {
  t.test(`the document of ${root} is complete and valid`, async t => {
    const omitted: OmittedRoute[] = []
    const services = withPolicies(contract, servicesOf(root))
    const exposed = services.map(service => ({ service, upstream: 'x' }))
    const started = performance.now()
    const routes = buildRouteTable(exposed, route => omitted.push(route))
    const document = buildApiDocument({
      routes,
      api: { title: 'Foreign', version: '1' },
      limits: limitsSchema.parse(undefined),
      ownUpstreams: new Set(),
      publicUrl: 'https://x.example',
      bodyLimit: 1024 * 1024,
    }) as Document
    const seconds = (performance.now() - started) / 1000
    t.ok(seconds < 30, `${routes.length} routes in ${seconds.toFixed(1)} s`)
    const operations = Object.values(document.paths).flatMap(item => Object.values(item))
    t.equal(operations.length, routes.length, 'no operation is lost')
    t.equal(
      new Set(operations.map(({ operationId }) => operationId)).size,
      operations.length,
      'operationIds are unique',
    )
    t.match(await new Validator().validate(JSON.parse(JSON.stringify(document)) as never), { valid: true })
    t.ok(routes.length > 0)
    t.comment(`${JSON.stringify(document).length} bytes, ${seconds.toFixed(1)} s`)
    const { checked, problems } = checkExamples(document, routes, () => contract)
    t.same(problems, [], `${checked} examples are valid by the schema and by the codec`)
    t.notMatch(document.info.description, /curl/, 'no sign-in that the API does not have')
    for (const { reason } of omitted) t.match(reason, /request stream|no HTTP rule/)
  })
}
