/** The OpenAPI document of this repository's gateway.yaml. */
import { readFileSync } from 'node:fs'
import type { FileRegistry } from '@bufbuild/protobuf'
import t from 'tap'
import { buildApiDocument } from '../../../gateway/api-reference/api-document.ts'
import { PROBLEM_KINDS } from '../../../gateway/api-reference/method-problems.ts'
import { planRoutes, readConfiguration } from '../../../gateway/configuration.ts'
import { checkExamples, type Document } from '../../support/document-examples.ts'

const root = new URL('../../..', import.meta.url).pathname
const configuration = readConfiguration(`${root}gateway/gateway.yaml`, {})
const { routes } = planRoutes(configuration)
const { file } = configuration

function documentWith(api: Partial<typeof file.api> = {}): Document {
  return buildApiDocument({
    routes,
    api: { ...file.api, ...api },
    limits: file.limits,
    ownUpstreams: new Set(file.upstreams.map(({ name }) => name)),
    publicUrl: 'https://api.example',
    bodyLimit: 1024 * 1024,
    onInvalidExample: (name, reason) => t.fail(`${name}: ${reason}`),
  }) as Document
}

const document = documentWith()

/** Error codes of an operation, by status. */
function codesOf(path: string, method: string): Record<string, string[]> {
  const responses = document.paths[path]?.[method]?.responses ?? {}
  return Object.fromEntries(
    Object.entries(responses).flatMap(([status, { $ref = '' }]) => {
      const response = document.components.responses[$ref.replace('#/components/responses/', '')]
      return response === undefined ? [] : [[status, Object.keys(Object.values(response.content)[0]?.examples ?? {})]]
    }),
  )
}

t.test('each operation, parameter and schema has an example, which is valid by the schema and by the codec', t => {
  const { checked, problems } = checkExamples(
    document,
    routes,
    ({ upstream }) => configuration.contracts.get(upstream) as FileRegistry,
  )
  t.same(problems, [])
  t.ok(checked > 150, `${checked} examples`)
  t.end()
})

t.test('examples that refer to one thing agree, and look like what they are', t => {
  const { examples } = document.components
  const user = examples['user.v1.User']?.value as Record<string, unknown>
  t.match(user, {
    id: /^[0-9a-f-]{36}$/,
    email: 'ada@example.com',
    name: 'Ada Lovelace',
    role: 'user',
    createdAt: '2026-11-24T09:30:00Z',
    updatedAt: '2026-11-25T14:05:00Z',
  })
  const grant = examples['docs.v1.Grant']?.value as Record<string, unknown>
  t.equal(grant['userId'], user['id'])
  t.match(examples['docs.v1.Document']?.value, { id: grant['documentId'] })
  const id = document.paths['/v1/users/{id}']?.['get']?.parameters[0]
  t.equal(id?.example, user['id'])
  t.end()
})

t.test('each operation has every error code that follows from its policy, binding, limit and contract', t => {
  t.match(codesOf('/v1/users', 'get'), {
    400: ['invalid_argument'],
    401: ['unauthenticated', 'token_invalid', 'token_expired', 'token_revoked'],
    403: ['permission_denied'],
    429: ['rate_limited'],
    503: ['unavailable', 'upstream_overloaded', 'database_busy', 'keys_unavailable', 'revocations_unknown'],
    504: ['deadline_exceeded'],
    default: ['bad_request', 'url_too_long', 'request_timeout', 'headers_too_large'],
  })
  t.same(codesOf('/v1/auth/login', 'post')['401'], ['invalid_credentials'], 'a public method verifies no token')
  t.same(codesOf('/v1/auth/signup', 'post')['409'], ['email_taken', 'aborted'])
  t.same(codesOf('/v1/auth/logout', 'post')['403'], ['cross_site_request'], 'a method that reads a cookie')
  t.notOk('401' in codesOf('/v1/auth/logout', 'post'), 'a method that tolerates invalid tokens')
  t.same(codesOf('/v1/docs/{id}', 'patch')['412'], ['etag_mismatch'])
  t.same(codesOf('/v1/docs/{id}', 'patch')['413'], ['body_too_large'])
  t.notOk('413' in codesOf('/v1/docs/{id}', 'get'), 'a method without a body')
  t.same(codesOf('/v1/users/me/export', 'get')['429'], ['rate_limited', 'too_many_streams'])
  t.end()
})

t.test('each error code has a problem document with its code and status', t => {
  const examples = Object.entries(document.components.examples).filter(([name]) => name.startsWith('Problem.'))
  t.ok(examples.length > 30)
  for (const [name, { value }] of examples) {
    const { code, status, title, instance } = value as Record<string, string>
    t.ok(name.startsWith(`Problem.${code}`), `${name}: ${status} ${title} ${instance}`)
    t.notMatch(instance, /[{}]/)
  }
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of Object.keys(item)) {
      for (const [status, codes] of Object.entries(codesOf(path, method))) {
        if (status === 'default') continue
        for (const code of codes) {
          const known = examples.filter(([, { value }]) => (value as { code: string }).code === code)
          t.ok(
            known.some(([, { value }]) => (value as { status: number }).status === Number(status)),
            `${method} ${path} ${status} ${code}`,
          )
        }
      }
    }
  }
  t.end()
})

t.test('docs/errors.md and the document give each code the same status, meaning and advice', t => {
  const text = readFileSync(`${root}docs/errors.md`, 'utf8')
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (.*?) \| ?(.*?) ?\|$/gm)]
  const documented = new Map(rows.map(([, code = '', status, meaning, cure]) => [code, { status, meaning, cure }]))
  for (const [code, { status, meaning, cure }] of Object.entries(PROBLEM_KINDS)) {
    t.same(documented.get(code), { status: String(status), meaning, cure }, code)
  }
  const shown = new Set(
    Object.values(document.components.examples).map(({ value }) => (value as { code: string }).code),
  )
  // Sent to no client: to one that has disconnected, and between services.
  const unsent = ['cancelled', 'account_closed']
  for (const code of documented.keys()) {
    t.ok(code in PROBLEM_KINDS || shown.has(code) || unsent.includes(code), `${code} is in the document`)
  }
  for (const { value } of Object.values(document.components.examples)) {
    const { code, status } = value as { code?: string; status?: number }
    if (code !== undefined) t.equal(documented.get(code)?.status, String(status), `${code} is in docs/errors.md`)
  }
  t.end()
})

t.test('responses have the rate-limit headers, 429 and 503 have Retry-After, 401 has WWW-Authenticate', t => {
  for (const [name, { headers }] of Object.entries(document.components.responses)) {
    const names = Object.keys(headers ?? {})
    if (!name.includes('OtherError')) t.ok(names.includes('RateLimit') && names.includes('RateLimit-Policy'), name)
    t.equal(names.includes('Retry-After'), /TooManyRequests|ServiceUnavailable/.test(name), name)
    t.equal(names.includes('WWW-Authenticate'), /Unauthorized/.test(name), name)
  }
  t.match(document.paths['/v1/users/me']?.['get']?.responses['200'], { headers: { RateLimit: {} } })
  t.end()
})

t.test('operations describe their access level, and tags have readable names', t => {
  t.match(document.paths['/v1/users']?.['get'], {
    description: /Requires an access token of a user with one of the roles `moderator`, `admin`\./,
    'x-roles': ['moderator', 'admin'],
  })
  t.match(document.paths['/v1/docs']?.['get'], { description: /An access token is optional\./ })
  t.match(document.paths['/v1/auth/login']?.['post'], { description: /Rate limit: class `auth`\./ })
  t.match(document.tags[0], { name: 'AuthService', 'x-displayName': 'Accounts, sessions and signing keys' })
  t.end()
})

t.test('the introduction explains tokens, errors, pages, streams and limits; gateway.yaml replaces it', t => {
  const text = document.info.description ?? ''
  for (const heading of ['Get a token', 'Requests', 'Pages', 'Streams', 'Rate limits', 'Errors']) {
    t.match(text, new RegExp(`^# ${heading}$`, 'm'))
  }
  t.match(text, /`POST \/v1\/auth\/login`/)
  t.match(text, /\| `user` \| 100 requests, refilled by 10 per second \|/)
  for (const code of ['token_revoked', 'email_taken', 'bad_request']) t.match(text, new RegExp(`\\| \`${code}\` \\|`))
  t.match(documentWith({ title: 'Shop', version: '2', description: '# Welcome' }).info, {
    title: 'Shop',
    version: '2',
    description: '# Welcome',
  })
  t.end()
})

t.test('the document has one schema for a message that several upstreams share', t => {
  t.same(
    Object.keys(document.components.schemas).filter(name => name.startsWith('user.v1.User')),
    ['user.v1.User'],
  )
  t.end()
})

t.test('the document stays below 250 KB', t => {
  const bytes = Buffer.byteLength(JSON.stringify(document))
  t.comment(`${bytes} bytes, ${routes.length} operations`)
  t.ok(bytes < 250_000)
  t.end()
})
