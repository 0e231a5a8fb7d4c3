import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { readContract, serviceOf } from '#runtime/grpc/contract.ts'
import { buildOpenApi } from '../../../../gateway/contract/openapi/document.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { buildContract } from '../../../support/contract.ts'

const info = { title: 'Test', version: '1', publicUrl: 'https://api.example' }

interface Document {
  paths: Record<string, Record<string, Record<string, unknown>>>
  components: { schemas: Record<string, { properties?: Record<string, unknown>; oneOf?: unknown[] }> }
}

function repositoryDocument(): Document {
  const contract = readContract(new URL('../../../../proto/gen/contract.binpb', import.meta.url))
  const services = ['auth.v1.AuthService', 'user.v1.UserService'].map(name => ({
    service: serviceOf(contract, name),
    upstream: 'x',
  }))
  return buildOpenApi(buildRouteTable(services), info) as Document
}

t.test('the document of the contract of this repository is valid OpenAPI 3.1', async t => {
  t.match(await new Validator().validate(structuredClone(repositoryDocument()) as never), { valid: true })
})

t.test(
  'the document contains rules, roles, statuses and comments, but no cookies and no fields that the edge consumes',
  async t => {
    const { paths, components } = repositoryDocument()
    t.match(paths['/v1/auth/signup']?.['post'], {
      operationId: 'AuthService_SignUp',
      summary: 'Sign up with e-mail and password',
      requestBody: {
        content: {
          'application/json': {
            schema: {
              required: ['email', 'password'],
              properties: { email: { format: 'email', maxLength: 254 }, tokenDelivery: { enum: ['cookie', 'body'] } },
            },
          },
        },
      },
      responses: { 201: { description: /./ }, default: {} },
    })
    t.match(paths['/v1/users']?.['get'], {
      'x-roles': ['moderator', 'admin'],
      security: [{ bearer: [] }],
      parameters: [{ name: 'pageSize', in: 'query', schema: { minimum: 0, maximum: 200 } }, { name: 'pageToken' }],
    })
    t.same(Object.keys(components.schemas['auth.v1.LoginResponse'] ?? {}).sort(), ['description', 'examples', 'oneOf'])
    t.notOk('refreshCookie' in (components.schemas['auth.v1.Tokens']?.properties ?? {}))
    t.notMatch(JSON.stringify(paths), 'evocation"')
  },
)

t.test(
  'variables of several segments, verbs, maps, recursive messages and additional bindings yield a valid document',
  async t => {
    const contract = buildContract({
      'x/v1/x.proto': `
      syntax = "proto3";
      package x.v1;
      import "edge/v1/options.proto";
      import "google/api/annotations.proto";
      import "google/protobuf/wrappers.proto";
      service XService {
        rpc Get(Tree) returns (Tree) {
          option (google.api.http) = { get: "/v1/{name=shelves/*/books/*}" additional_bindings { get: "/v1/all/{name=**}" } };
          option (edge.v1.policy) = { access: ACCESS_OPTIONAL };
        }
        rpc Restore(Tree) returns (Tree) {
          option (google.api.http) = { post: "/v1/trees/{name}/*:restore" body: "left" response_body: "children" };
          option (edge.v1.policy) = { access: ACCESS_USER success_status: 204 };
        }
      }
      message Tree {
        string name = 1;
        Tree left = 2;
        repeated Tree children = 3;
        map<string, int64> counts = 4;
        google.protobuf.Int32Value size = 5;
        repeated int32 list = 6 [(edge.v1.rules) = { max_items: 3 min: 1 }];
      }`,
    })
    const routes = buildRouteTable([{ service: serviceOf(contract, 'x.v1.XService'), upstream: 'x' }])
    const document = buildOpenApi(routes, info) as Document
    t.match(await new Validator().validate(structuredClone(document) as never), { valid: true })
    t.same(Object.keys(document.paths), [
      '/v1/shelves/{name_1}/books/{name_2}',
      '/v1/all/{name}',
      '/v1/trees/{name}/{segment3}:restore',
    ])
    t.match(document.paths['/v1/shelves/{name_1}/books/{name_2}']?.['get'], {
      parameters: [{ name: 'name_1', in: 'path', description: /shelves/ }, { name: 'name_2' }],
    })
  },
)
