/** Requests of one service and the message, or the violations, that they are bound to. */
import { type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { Code, StatusError } from '#runtime/status.ts'
import { buildRouteTable, type Route } from '../../../../gateway/contract/route-table.ts'
import { MAX_JSON_DEPTH } from '../../../../gateway/transcoding/binding/json-text.ts'
import { compileBinding } from '../../../../gateway/transcoding/binding/request-binding.ts'
import { buildContract } from '../../../support/contract.ts'
import { testRoute } from '../compiled/codec-pair.ts'
import { createComparingCodec } from '../compiled/comparing-codec.ts'

const contract = buildContract({
  'shop/v1/shop.proto': `
    syntax = "proto3";
    package shop.v1;
    import "edge/v1/options.proto";
    import "google/api/annotations.proto";
    import "google/protobuf/timestamp.proto";

    service ShopService {
      rpc GetItem(Item) returns (Item) {
        option (google.api.http) = { get: "/items/{id}" additional_bindings { get: "/shelves/{shelf.name}/items/{id}" } };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc PutItem(Item) returns (Item) {
        option (google.api.http) = { put: "/items/{id}" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc SetShelf(Item) returns (Item) {
        option (google.api.http) = { put: "/items/{id}/shelf" body: "shelf" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc SetStock(Item) returns (Item) {
        option (google.api.http) = { put: "/items/{id}/stock" body: "stock" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
      rpc PutOnShelf(Item) returns (Item) {
        option (google.api.http) = { put: "/shelved/{shelf.name}" body: "*" };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }
    }
    message Item {
      string id = 1;
      string name = 2 [(edge.v1.rules) = { max_length: 5 }];
      Shelf shelf = 3;
      repeated int32 sizes = 4;
      google.protobuf.Timestamp made_at = 5;
      int64 stock = 6;
      bool sold = 7;
    }
    message Shelf { string name = 1; int32 level = 2; }
  `,
})
const Item = contract.getMessage('shop.v1.Item') as DescMessage
const routes = buildRouteTable([{ service: serviceOf(contract, 'shop.v1.ShopService'), upstream: 'shop' }])

/** Binds a request with both codecs. @returns the JSON of the message. @throws StatusError with the violations. */
function bind(method: string, target: string, body?: unknown): unknown {
  const [path = '', query = ''] = target.split('?')
  const route = routes.find(({ httpMethod, template }) => httpMethod === method && template.matches(path)) as Route
  const text = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body)
  const message = createComparingCodec(route, contract).encode({
    pathValues: route.template.extract(path) ?? [],
    query,
    body: text === undefined ? undefined : Buffer.from(text),
    cookies: {},
  })
  return toJson(Item, fromBinary(Item, message))
}

function errorOf(run: () => unknown): StatusError {
  try {
    run()
  } catch (error) {
    if (error instanceof StatusError) return error
    throw error
  }
  throw new Error('The request has no violation')
}

t.test('path, query and body are combined into the request message', async t => {
  const cases: [method: string, target: string, body: unknown, expected: object][] = [
    ['GET', '/items/7', undefined, { id: '7' }],
    ['GET', '/items/a%2Fb%20c', undefined, { id: 'a/b c' }],
    ['GET', '/items/a%252Fb', undefined, { id: 'a%2Fb' }],
    ['GET', '/items/7?name=a+b&sold=true', undefined, { id: '7', name: 'a b', sold: true }],
    ['GET', '/items/7?name=', undefined, { id: '7' }],
    ['GET', '/items/7?name', undefined, { id: '7' }],
    ['GET', '/items/7?sizes=1&sizes=2', undefined, { id: '7', sizes: [1, 2] }],
    ['GET', '/items/7?stock=9007199254740993', undefined, { id: '7', stock: '9007199254740993' }],
    ['GET', '/items/7?made_at=2026-01-02T03:04:05Z', undefined, { id: '7', madeAt: '2026-01-02T03:04:05Z' }],
    ['GET', '/items/7?madeAt=2026-01-02T03:04:05Z', undefined, { id: '7', madeAt: '2026-01-02T03:04:05Z' }],
    ['GET', '/items/7?shelf.level=3&shelf.name=top', undefined, { id: '7', shelf: { name: 'top', level: 3 } }],
    ['GET', '/shelves/top/items/7?shelf.level=3', undefined, { id: '7', shelf: { name: 'top', level: 3 } }],
    ['PUT', '/items/7', { name: 'lamp', madeAt: null }, { id: '7', name: 'lamp' }],
    ['PUT', '/items/7', { made_at: '2026-01-02T03:04:05Z' }, { id: '7', madeAt: '2026-01-02T03:04:05Z' }],
    ['PUT', '/items/7', '{"stock": -9007199254740993}', { id: '7', stock: '-9007199254740993' }],
    ['PUT', '/items/7', '{"stock": 9223372036854775807}', { id: '7', stock: '9223372036854775807' }],
    ['PUT', '/items/7/stock', '9007199254740993', { id: '7', stock: '9007199254740993' }],
    ['PUT', '/items/7', '', { id: '7' }],
    ['PUT', '/items/7', undefined, { id: '7' }],
    ['PUT', '/items/7/shelf', { name: 'low' }, { id: '7', shelf: { name: 'low' } }],
    ['PUT', '/items/7/shelf?name=lamp', { level: 2 }, { id: '7', name: 'lamp', shelf: { level: 2 } }],
    ['PUT', '/shelved/top', { shelf: { level: 2 } }, { shelf: { name: 'top', level: 2 } }],
    ['PUT', '/shelved/top', { shelf: null }, { shelf: { name: 'top' } }],
  ]
  for (const [method, target, body, expected] of cases) {
    t.same(bind(method, target, body), expected, `${method} ${target} ${JSON.stringify(body)}`)
  }
})

t.test('a field that is unknown, given twice, misplaced or malformed is a violation that names the field', async t => {
  const cases: [method: string, target: string, body: unknown, field: string, description: RegExp][] = [
    ['PUT', '/items/7', { id: '8' }, 'id', /by the path/],
    ['GET', '/items/7?id=8', undefined, 'id', /by the path/],
    ['PUT', '/items/7', '{"name": "a", "name": "b"}', 'name', /twice/],
    ['PUT', '/items/7', { madeAt: null, made_at: '2026-01-01T00:00:00Z' }, 'madeAt', /./],
    ['GET', '/items/7?name=a&name=b', undefined, 'name', /twice/],
    ['GET', '/items/7?made_at=2026-01-01T00:00:00Z&madeAt=2026-01-01T00:00:00Z', undefined, 'madeAt', /twice/],
    ['GET', '/items/7?nmae=a', undefined, 'nmae', /not known/],
    ['GET', '/items/7?shelf.nmae=a', undefined, 'shelf.nmae', /not known/],
    ['GET', '/items/7?name.x=a', undefined, 'name.x', /not known/],
    ['PUT', '/items/7', { nmae: 'a' }, 'nmae', /not known/],
    ['PUT', '/items/7?name=a', {}, 'name', /belongs in the body/],
    ['PUT', '/items/7/shelf?shelf.level=1', {}, 'shelf.level', /belongs in the body/],
    ['GET', '/items/7?shelf=x', undefined, 'shelf', /query/],
    ['PUT', '/items/7', '{"stock": 9007199254740993.5}', 'stock', /64-bit integer/],
    ['PUT', '/items/7', '{"stock": 9223372036854775809}', 'stock', /./],
    ['GET', '/items/7?stock=9223372036854775808', undefined, 'stock', /./],
    ['GET', '/items/7?sizes=1&sizes=x', undefined, 'sizes[1]', /./],
    ['GET', '/items/7?sold=yes', undefined, 'sold', /./],
    ['GET', '/items/7?made_at=yesterday', undefined, 'madeAt', /./],
    ['PUT', '/items/7', { name: 'too long' }, 'name', /5 characters/],
    ['PUT', '/shelved/top', { shelf: 'text' }, 'shelf', /./],
    ['PUT', '/items/7', { shelf: { level: 1.5 } }, 'shelf.level', /./],
    ['PUT', '/items/7', '[1]', 'body', /./],
    ['GET', '/items/7', { name: 'a' }, 'body', /empty/],
    ['GET', '/items/7?name=%FF', undefined, 'query', /UTF-8/],
    ['GET', '/items/7?name=%ZZ', undefined, 'query', /UTF-8/],
  ]
  for (const [method, target, body, field, description] of cases) {
    const title = `${method} ${target} ${JSON.stringify(body)}`
    const error = errorOf(() => bind(method, target, body))
    t.equal(error.code, Code.INVALID_ARGUMENT, title)
    t.equal(error.violations[0]?.field, field, title)
    t.match(error.violations[0]?.description, description, title)
  }
})

t.test('all violations of a body are reported together', async t => {
  const { violations } = errorOf(() => bind('PUT', '/items/7', { name: 1, sold: 'x', shelf: { level: 'y' } }))
  t.same(violations.map(({ field }) => field).sort(), ['name', 'shelf.level', 'sold'])
})

const trees = buildContract({
  'tree.proto': 'syntax = "proto3"; package tree; message Tree { string name = 1; Tree child = 2; }',
})
const Tree = trees.getMessage('tree.Tree') as DescMessage

t.test('a query parameter may address a field as deep as a JSON body, and no deeper', async t => {
  const bindTree = compileBinding(testRoute(Tree, { variables: [], body: undefined }), trees)
  const query = (depth: number) => `${'child.'.repeat(depth - 1)}name=x`
  t.match(bindTree({ pathValues: [], query: query(3), body: undefined }), { child: { child: { name: 'x' } } })
  t.ok(bindTree({ pathValues: [], query: query(MAX_JSON_DEPTH), body: undefined }))
  for (const depth of [MAX_JSON_DEPTH + 1, 2000]) {
    t.throws(() => bindTree({ pathValues: [], query: query(depth), body: undefined }), { code: Code.INVALID_ARGUMENT })
  }
})
