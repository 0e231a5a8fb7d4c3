import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildOpenApi } from '../../../../gateway/contract/openapi/document.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { buildContract } from '../../../support/contract.ts'

interface Operation {
  operationId: string
  tags: string[]
  parameters: { name: string; in: string; description?: string; schema: unknown }[]
}

interface Document {
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { securitySchemes: object }
}

/**
 * Builds the document of services with the given methods, each with its HTTP rule.
 * @param packages those of the services. With several, the paths start with the package instead of `v1`.
 */
async function documentOf(methods: Record<string, string>, packages: string[] = ['x.v1']): Promise<Document> {
  const files = packages.map(name => {
    const prefix = packages.length > 1 ? `/${name}/` : '/v1/'
    const rpcs = Object.entries(methods).map(
      ([method, rule]) => `rpc ${method}(Book) returns (Book) {
        option (google.api.http) = { ${rule.replaceAll('/v1/', prefix)} };
        option (edge.v1.policy) = { access: ACCESS_PUBLIC };
      }`,
    )
    const text = `syntax = "proto3"; package ${name};
      import "edge/v1/options.proto";
      import "google/api/annotations.proto";
      service Books { ${rpcs.join('\n')} }
      message Book { string name = 1; string id = 2; Book book = 3; }`
    return [`${name.replaceAll('.', '/')}/books.proto`, text]
  })
  const contract = buildContract(Object.fromEntries(files))
  const services = packages.map(name => ({ service: serviceOf(contract, `${name}.Books`), upstream: 'x' }))
  const document = buildOpenApi(buildRouteTable(services), { title: 'T', version: '1', publicUrl: 'https://x.example' })
  const result = await new Validator().validate(structuredClone(document) as never)
  if (!result.valid) throw new Error(JSON.stringify(result.errors))
  return document as Document
}

function operationsOf({ paths }: Document): string[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, operation]) =>
      method === 'x-additionalOperations'
        ? Object.entries(operation).map(([name, { operationId }]) => `${name} ${path} ${operationId}`)
        : [`${method} ${path} ${operation.operationId}`],
    ),
  )
}

t.test('routes that differ only in the literals of a variable have paths of their own', async t => {
  const document = await documentOf({
    GetUser: 'get: "/v1/{name=users/*}"',
    GetRoom: 'get: "/v1/{name=rooms/*}"',
    GetSession: 'get: "/v1/{name=sessions/*}"',
    GetPage: 'get: "/v1/{name=books/*/pages/*}"',
  })
  t.same(operationsOf(document), [
    'get /v1/users/{name} Books_GetUser',
    'get /v1/rooms/{name} Books_GetRoom',
    'get /v1/sessions/{name} Books_GetSession',
    'get /v1/books/{name_1}/pages/{name_2} Books_GetPage',
  ])
  t.match(document.paths['/v1/users/{name}']?.['get']?.parameters[0], {
    name: 'name',
    description: /`users\/\*`/,
    schema: { type: 'string', minLength: 1 },
  })
})

t.test('paths that differ only in parameter names are one path', async t => {
  const document = await documentOf({
    Get: 'get: "/v1/books/{id}"',
    Update: 'patch: "/v1/books/{book.id}" body: "book"',
    Delete: 'delete: "/v1/{name=books/*}"',
  })
  t.same(operationsOf(document), [
    'get /v1/books/{id} Books_Get',
    'patch /v1/books/{id} Books_Update',
    'delete /v1/books/{id} Books_Delete',
  ])
  for (const operation of Object.values(document.paths['/v1/books/{id}'] ?? {})) {
    t.match(operation.parameters[0], { name: 'id', in: 'path' })
  }
})

t.test('a variable of any number of segments keeps an operation beside one of a single segment', async t => {
  const document = await documentOf({ Any: 'get: "/v1/{name=**}"', One: 'get: "/v1/{id}"' })
  t.same(operationsOf(document).sort(), ['get /v1/{id} Books_One', 'get /v1/{name_1}/{name_2} Books_Any'])
})

t.test('a method that OpenAPI 3.1 does not know is an extension of its path', async t => {
  const document = await documentOf({ Get: 'get: "/v1/{id}"', Purge: 'custom: {kind: "PURGE" path: "/v1/{id}"}' })
  t.same(operationsOf(document), ['get /v1/{id} Books_Get', 'PURGE /v1/{id} Books_Purge'])
})

t.test('operation IDs and tags are unique when two packages have a service of the same name', async t => {
  const document = await documentOf({ Get: 'get: "/v1/{id}"' }, ['a.v1', 'b.v1'])
  t.same(operationsOf(document), ['get /a.v1/{id} a.v1.Books_Get', 'get /b.v1/{id} b.v1.Books_Get'])
  t.same(
    document.tags.map(({ name }) => name),
    ['a.v1.Books', 'b.v1.Books'],
  )
})

t.test('further bindings have operation IDs that no method has, also as identifiers of generated clients', async t => {
  const document = await documentOf({
    Get: 'get: "/v1/a/{id}" additional_bindings { get: "/v1/b/{id}" } additional_bindings { get: "/v1/c/{id}" }',
    Get2: 'get: "/v1/d/{id}"',
    Get_3: 'get: "/v1/e/{id}"',
  })
  t.same(operationsOf(document), [
    'get /v1/a/{id} Books_Get',
    'get /v1/b/{id} Books_Get4',
    'get /v1/c/{id} Books_Get5',
    'get /v1/d/{id} Books_Get2',
    'get /v1/e/{id} Books_Get_3',
  ])
})

t.test('the document of public methods has no security scheme', async t => {
  const { components } = await documentOf({ Get: 'get: "/v1/{id}"' })
  t.same(components.securitySchemes, {})
})
