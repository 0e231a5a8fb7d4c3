import t from 'tap'
import { check } from '../../../gateway/command/check.ts'
import { policyDiff } from '../../../gateway/command/policy-diff.ts'
import { buildImage } from '../../support/contract.ts'
import { runCommand, shopFolder, shopYaml } from './shop.ts'

const REDIS = { REDIS_URL: 'redis://127.0.0.1:1' }

t.test('a valid configuration has no problem, and a method that is not served is a warning', async t => {
  const { code, lines } = await runCommand(check, shopFolder(t), [], REDIS)
  t.equal(code, 0)
  t.strictSame(lines, [
    'warning: shop.v1.Shop/Upload: methods with a request stream are not supported',
    '4 routes, 0 problems, 1 warning',
  ])
})

t.test('a missing REDIS_URL is a problem if a method verifies tokens, and otherwise a warning', async t => {
  const required = await runCommand(check, shopFolder(t))
  t.equal(required.code, 1)
  t.match(required.text, /^REDIS_URL is required, because these methods verify tokens.*shop\.v1\.Shop\/GetItem/)
  const policies = '    policies: { shop.v1.Shop: { access: public, override: true } }\n'
  const open = await runCommand(check, shopFolder(t, { 'gateway.yaml': shopYaml(policies) }))
  t.equal(open.code, 0)
  t.match(open.text, 'warning: REDIS_URL is not set')
})

const BOOKS = `syntax = "proto3";
package books.v1;
import "google/api/annotations.proto";
message Book { string id = 1; }
service Books {
  rpc Get(Book) returns (Book) {
    option (google.api.http) = {get: "/v1/books/{id}"};
  }
  rpc Find(Book) returns (Book) {
    option (google.api.http) = {get: "/v1/items"};
  }
}`

t.test('all problems are found at once, each with file and line', async t => {
  const gatewayYaml = `upstreams:
  - name: shop
    address: 127.0.0.1:50051
    contract: shop.binpb
    services: [shop.v1.Shop]
    policies:
      shop.v1.Shop/GetItem: { access: public }
      shop.v1.Shop/CreateItem: { rateLimit: { class: huge } }
  - name: books
    address: ftp://books
    contract: books.binpb
    services: [books.v1.Books]
    policies:
      books.v1.Books/Find: { access: public }
  - name: gone
    address: 127.0.0.1:50053
    contract: gone.binpb
    services: [gone.v1.Gone]
  - name: Upper
    address: 127.0.0.1:50054
    contract: shop.binpb
    services: [shop.v1.Shop]
  - name: typo
    address: 127.0.0.1:50055
    contract: shop.binpb
    services: [shop.v1.Shopp]
    tls: { ca: missing.pem }
  - name: rules
    address: 127.0.0.1:50056
    contract: books.binpb
    services: [books.v1.Books]
    httpRules: rules.yaml
    policies:
      books.v1.Books/Gett: { access: public }
limits:
  classes: { user: { capacity: 5, refill: 1 / 1s }, anonymous: unlimited }
  methods:
    shop.v1.Shop/ListItems: { class: none }
`
  const rules = `type: google.api.Service
http:
  rules:
    - selector: books.v1.Books.Get
      gett: /v2/books
`
  const folder = shopFolder(t, {
    'gateway.yaml': gatewayYaml,
    'rules.yaml': rules,
    'books.binpb': buildImage({ 'books/v1/books.proto': BOOKS }),
  })
  const { code, lines } = await runCommand(check, folder, [], {
    ...REDIS,
    GATEWAY_PORT: 'http',
    BODY_LIMIT: '-1',
    LOG_LEVEL: 'debug',
  })
  t.equal(code, 1)
  const file = `${folder}/gateway.yaml`
  const expected = [
    /^GATEWAY_PORT: must be a port number/,
    /^BODY_LIMIT: /,
    `${file}:19: upstreams[3].name: must be lower-case letters`,
    `${file}:17: upstream gone: cannot read the contract ${folder}/gone.binpb: ENOENT`,
    `${file}:7: upstream shop: shop.v1.Shop/GetItem: gateway.yaml weakens access`,
    `(shop/v1/shop.proto:12)`,
    `${file}:10: upstream books: "ftp://books" is not a valid target`,
    `${file}:12: upstream books: books.v1.Books/Get: has no policy`,
    `(books/v1/books.proto:6)`,
    `${file}:14: upstream books: books.v1.Books/Find: GET /v1/items is already bound to shop.v1.Shop/ListItems`,
    `${file}:26: upstream typo: The contract has no service shop.v1.Shopp; it has shop.v1.Shop`,
    /:24: upstream typo: tls\.ca: cannot read .*missing\.pem/,
    `${folder}/rules.yaml:4: books.v1.Books.Get: `,
    `${file}:8: shop.v1.Shop/CreateItem: rate-limit class "huge" is not defined`,
    `${file}:38: shop.v1.Shop/ListItems: rate-limit class "none" is not defined`,
  ]
  for (const pattern of expected) {
    t.ok(
      lines.some(line => (typeof pattern === 'string' ? line.includes(pattern) : pattern.test(line))),
      String(pattern),
    )
  }
  t.match(lines.at(-1), /^\d+ routes, 13 problems, 1 warning$/, lines.join('\n'))
})

t.test('a limit for a method of an upstream that is not valid is no further problem', async t => {
  const yaml = `${shopYaml()}limits:
  classes: { user: unlimited, anonymous: unlimited }
  methods: { shop.v1.Shop/GetItem: { cost: 2 } }
`
  const folder = shopFolder(t, { 'gateway.yaml': yaml.replace('shop.binpb', 'gone.binpb') })
  const { lines } = await runCommand(check, folder, [], REDIS)
  t.equal(lines.length, 2, lines.join('\n'))
  t.match(lines[0], /gone\.binpb/)
})

for (const [description, yaml, message] of [
  ['a file that is missing', undefined, /gateway\.yaml: ENOENT.*--config/],
  ['a file that is not YAML', 'upstreams: [', /gateway\.yaml:\d+:\d+ is not valid YAML/],
  ['a file without an upstream', 'upstreams: []', /gateway\.yaml:1: upstreams: /],
  ['a file that is no object', '- 1', /gateway\.yaml:1: the file: /],
  ['a variable without a value', `upstreams: [{ name: "\${NAME}" }]`, /requires these variables.*NAME/],
] as const) {
  t.test(`check reports ${description}`, async t => {
    const folder = t.testdir(yaml === undefined ? {} : { 'gateway.yaml': yaml })
    const { code, text } = await runCommand(check, folder)
    t.equal(code, 1)
    t.match(text, message)
  })
}

t.test('the file is that of --config, else of GATEWAY_CONFIG, else gateway.yaml of the folder', async t => {
  const folder = shopFolder(t, { 'other/broken.yaml': 'upstreams: []' })
  const codes = [
    await runCommand(check, folder, [], REDIS),
    await runCommand(check, folder, ['--config', 'other/broken.yaml'], REDIS),
    await runCommand(check, folder, [], { ...REDIS, GATEWAY_CONFIG: 'other/broken.yaml' }),
    await runCommand(check, folder, ['-c', 'gateway.yaml'], { ...REDIS, GATEWAY_CONFIG: 'other/broken.yaml' }),
  ]
  t.strictSame(
    codes.map(({ code }) => code),
    [0, 1, 1, 0],
  )
})

t.test('a contract read by reflection is the kept one, and its routes are unknown if none is kept', async t => {
  const yaml = shopYaml().replace('contract: shop.binpb', 'contract: reflection').concat('    trusted: true\n')
  const folder = shopFolder(t, { 'gateway.yaml': yaml })
  const unknown = await runCommand(check, folder, [], REDIS)
  t.strictSame([unknown.code, unknown.lines.at(-1)], [0, '0 routes, 0 problems, 1 warning'])
  t.match(unknown.text, /gateway\.yaml:2: upstream shop: its contract is read by reflection and not kept/)
  await t.rejects(runCommand(policyDiff, folder, ['gateway.yaml', 'gateway.yaml']), {
    message: /its routes are unknown/,
  })
  // The contract is shop.binpb, as the file of the upstream `shop` is named.
  const kept = { ...REDIS, GATEWAY_CONTRACT_DIR: folder }
  t.match((await runCommand(check, folder, [], kept)).text, '4 routes, 0 problems, 1 warning')
  t.match(await runCommand(policyDiff, folder, ['gateway.yaml', 'gateway.yaml'], kept), { code: 0 })
})
