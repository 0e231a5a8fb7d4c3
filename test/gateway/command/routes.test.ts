import { Validator } from '@seriousme/openapi-schema-validator'
import t from 'tap'
import { openapi } from '../../../gateway/command/openapi.ts'
import { routes } from '../../../gateway/command/routes.ts'
import { runCommand, shopFolder, shopYaml } from './shop.ts'

t.test('routes prints a table of method, path, RPC, access, class and timeout, without Redis', async t => {
  const { code, lines } = await runCommand(routes, shopFolder(t))
  t.equal(code, 0)
  t.strictSame(
    lines.map(line => line.split(/ {2,}/)),
    [
      ['METHOD', 'PATH', 'RPC', 'ACCESS', 'CLASS', 'TIMEOUT'],
      ['PUT', '/v1/basket', 'shop.v1.Shop/SetNote', 'optional', 'anonymous, user', '2500 ms'],
      ['GET', '/v1/items', 'shop.v1.Shop/ListItems (stream)', 'public', 'anonymous', '3600000 ms'],
      ['POST', '/v1/items', 'shop.v1.Shop/CreateItem', 'roles: admin', 'user', '5000 ms'],
      ['GET', '/v1/items/{id}', 'shop.v1.Shop/GetItem', 'user', 'user', '2500 ms'],
    ],
  )
})

t.test('routes --json has the effective policy: of the contract, of gateway.yaml and of limits.methods', async t => {
  const yaml = `${shopYaml(`    timeoutMs: 800
    policies: { shop.v1.Shop/SetNote: { access: user, timeoutMs: 300 } }
`)}limits:
  classes: { user: { capacity: 7, refill: 14 / 2s }, anonymous: unlimited }
  methods: { shop.v1.Shop/GetItem: { cost: 3, refundOnSuccess: true } }
`
  const { text } = await runCommand(routes, shopFolder(t, { 'gateway.yaml': yaml }), ['--json'])
  const listing = JSON.parse(text)
  const of = (rpc: string) => listing.routes.find((route: { rpc: string }) => route.rpc === `shop.v1.Shop/${rpc}`)
  const user = { class: 'user', capacity: 7, refillPerSecond: 7, cost: 1, refundOnSuccess: false }
  const unlimited = { class: 'anonymous', capacity: null, refillPerSecond: null, cost: 1, refundOnSuccess: false }
  t.strictSame(of('GetItem'), {
    method: 'GET',
    path: '/v1/items/{id}',
    rpc: 'shop.v1.Shop/GetItem',
    upstream: 'shop',
    stream: false,
    access: 'user',
    roles: [],
    timeoutMs: 800,
    successStatus: 200,
    tolerateInvalidToken: false,
    retry: null,
    limits: { byAddress: null, byUser: { ...user, cost: 3, refundOnSuccess: true } },
  })
  t.match(of('SetNote'), { access: 'user', timeoutMs: 300, limits: { byUser: user } })
  t.match(of('ListItems'), { stream: true, access: 'public', limits: { byAddress: unlimited, byUser: null } })
  t.match(of('CreateItem'), { roles: ['admin'], successStatus: 201, timeoutMs: 5000 })
  t.strictSame(listing.invalidTokenLimit, unlimited)
})

t.test('routes and openapi report all problems of a configuration that does not boot', async t => {
  const folder = shopFolder(t, {
    'gateway.yaml': shopYaml('    policies: { shop.v1.Shop/A: {}, shop.v1.Shop/B: {} }\n'),
  })
  for (const command of [routes, openapi]) {
    await t.rejects(runCommand(command, folder), { name: 'SettingsError', message: /Shop\/A.*\n.*Shop\/B/ })
  }
})

t.test('openapi prints a valid document with the public URL', async t => {
  const { code, text } = await runCommand(openapi, shopFolder(t), [], { PUBLIC_URL: 'https://shop.example/' })
  t.equal(code, 0)
  const document = JSON.parse(text)
  t.match(document, { openapi: '3.1.0', servers: [{ url: 'https://shop.example' }] })
  t.strictSame(Object.keys(document.paths).sort(), ['/v1/basket', '/v1/items', '/v1/items/{id}'])
  t.match(await new Validator().validate(document), { valid: true })
})
