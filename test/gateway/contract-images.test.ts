/** Contract images as buf and protoc write them. */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { create, type DescMessage } from '@bufbuild/protobuf'
import { execa } from 'execa'
import t from 'tap'
import { stringify } from 'yaml'
import { readContract } from '#runtime/grpc/contract.ts'
import { planRoutes, readConfiguration } from '../../gateway/configuration.ts'
import { buildImage } from '../support/contract.ts'
import { installProtoc } from '../support/protoc.ts'
import { startTestGateway } from '../support/test-gateway.ts'

const installed = await installProtoc()
const skip = typeof installed === 'string' && installed

async function protoc(...args: string[]): Promise<void> {
  if (typeof installed !== 'string') await execa(installed.command, [...installed.args, ...args])
}
const root = path.resolve(import.meta.dirname, '../..')

const SHOP = `
  syntax = "proto3";
  package shop.v1;
  import "edge/v1/options.proto";
  import "google/api/annotations.proto";
  import "google/protobuf/timestamp.proto";
  message Item { string id = 1; google.protobuf.Timestamp created_at = 2; }
  service Shop {
    // Read an item.
    rpc Get(Item) returns (Item) {
      option (google.api.http) = {get: "/v1/items/{id}"};
      option (edge.v1.policy) = {access: ACCESS_PUBLIC, timeout: {seconds: 3}};
    }
  }
`
const folder = t.testdir({ own: { 'shop.proto': SHOP } })

const paths = ['own', path.join(root, 'proto'), path.join(root, 'node_modules/google-proto-files')]
const proto = path.join(folder, 'own/shop.proto')
const includes = paths.map(name => `-I${path.resolve(folder, name)}`)

/** The routes of a gateway with the image. */
function routesOf(image: string) {
  const file = path.join(folder, 'gateway.yaml')
  const upstream = { name: 'shop', address: '127.0.0.1:1', contract: image, services: ['shop.v1.Shop'] }
  writeFileSync(file, stringify({ upstreams: [upstream] }))
  return planRoutes(readConfiguration(file, {})).routes.map(({ httpMethod, template, name, policy }) => ({
    route: `${httpMethod} ${template.source}`,
    name,
    timeout: policy.timeout?.seconds,
  }))
}

const EXPECTED = [{ route: 'GET /v1/items/{id}', name: 'shop.v1.Shop/Get', timeout: 3n }]

t.test(
  'an image of protoc has the routes and policies of the contract, with and without source information',
  { skip },
  async t => {
    for (const option of [[], ['--include_source_info']]) {
      const image = path.join(folder, `protoc-${option.length}.binpb`)
      await protoc(...includes, '--include_imports', ...option, `--descriptor_set_out=${image}`, proto)
      t.same(routesOf(image), EXPECTED)
      const contract = readContract(image)
      const Item = contract.getMessage('shop.v1.Item') as DescMessage
      const gateway = await startTestGateway(t, {
        contract,
        service: 'shop.v1.Shop',
        respond: () => create(Item, { id: '7', createdAt: { seconds: 1n, nanos: 0 } } as never),
      })
      t.same(await (await gateway.call('/v1/items/7')).json(), { id: '7', createdAt: '1970-01-01T00:00:01Z' })
    }
  },
)

t.test('an image of buf has the same ones', async t => {
  const image = path.join(folder, 'buf.binpb')
  writeFileSync(image, buildImage({ 'shop.proto': SHOP }))
  t.same(routesOf(image), EXPECTED)
})

t.test('an image without its imports is rejected with the missing file and the cure', { skip }, async t => {
  const image = path.join(folder, 'incomplete.binpb')
  await protoc(...includes, `--descriptor_set_out=${image}`, proto)
  t.throws(() => routesOf(image), { message: /upstream shop: .*edge\/v1\/options\.proto.*--include_imports/ })
})
