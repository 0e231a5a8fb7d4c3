import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { serviceOf } from '#runtime/grpc/contract.ts'
import { buildOpenApi } from '../../../../gateway/contract/openapi/document.ts'
import { buildRouteTable } from '../../../../gateway/contract/route-table.ts'
import { buildService, methodSource } from '../../../support/service-contract.ts'

interface Operation {
  parameters: { name: string }[]
  requestBody: { required: boolean; description: string; content: object }
  responses: Record<string, { description: string; headers?: object; content?: object }>
}

interface Document {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
}

const SCHEMA = { schema: { type: 'string', format: 'binary' } }
const BINARY = { 'application/octet-stream': SCHEMA, '*/*': SCHEMA }

const { contract, service } = buildService('file.v1.FileService', {
  imports: ['google/api/httpbody.proto'],
  methods: [
    methodSource('Echo', '(google.api.HttpBody) returns (google.api.HttpBody)', 'post: "/v1/echo" body: "*"'),
    methodSource('Put', '(UploadRequest) returns (Stored)', 'put: "/v1/files/{name}" body: "file"'),
    methodSource('Get', '(FileRequest) returns (Content)', 'get: "/v1/files/{name}" response_body: "file"'),
    methodSource('Follow', '(FileRequest) returns (stream Content)', 'get: "/v1/follow" response_body: "file"'),
  ],
  messages: `
    message FileRequest { string name = 1; }
    message UploadRequest {
      string name = 1;
      // The new content.
      google.api.HttpBody file = 2 [(edge.v1.rules) = { required: true }];
      int32 revision = 3;
    }
    message Stored { string name = 1; }
    message Content { string etag = 1 [(edge.v1.etag) = true]; google.api.HttpBody file = 2; }
  `,
})
const routes = buildRouteTable([{ service: serviceOf(contract, service), upstream: 'x' }])
const document = buildOpenApi(routes, { title: 'T', version: '1', publicUrl: 'https://x.example' }) as Document

t.test('the document of methods with google.api.HttpBody is valid OpenAPI 3.1', async t => {
  t.match(await new Validator().validate(structuredClone(document) as never), { valid: true })
})

t.test('a raw body is binary content of any media type, and the message is no schema of the document', async t => {
  const { '/v1/echo': echo, '/v1/files/{name}': file, '/v1/follow': follow } = document.paths
  t.match(echo?.['post'], { requestBody: { required: false, content: BINARY } })
  t.same(echo?.['post']?.responses['200']?.content, BINARY)
  t.same(file?.['put']?.requestBody, { description: 'The new content.', required: true, content: BINARY })
  t.same(
    file?.['put']?.parameters.map(({ name }) => name),
    ['name', 'revision'],
  )
  t.same(file?.['get']?.responses['200']?.content, BINARY)
  t.match(file?.['get']?.responses['200']?.headers, { ETag: {} })
  t.ok(file?.['get']?.responses['304'])
  t.same(follow?.['get']?.responses['200']?.content, BINARY)
  t.match(follow?.['get']?.responses['200']?.description, /connection is closed/)
  t.notMatch(JSON.stringify(document.components), 'HttpBody')
})
