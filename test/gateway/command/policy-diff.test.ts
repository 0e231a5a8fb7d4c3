import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { type Change, type ChangeKind, compareListings, isWeakening } from '../../../gateway/command/policy-changes.ts'
import { policyDiff } from '../../../gateway/command/policy-diff.ts'
import type { RouteEntry, RouteListing } from '../../../gateway/command/route-listing.ts'
import { routes } from '../../../gateway/command/routes.ts'
import { runCommand, shopFolder, shopYaml } from './shop.ts'

const LIMIT = { class: 'user', capacity: 10, refillPerSecond: 1, cost: 1, refundOnSuccess: false }
const ROUTE: RouteEntry = {
  method: 'GET',
  path: '/v1/items/{id}',
  rpc: 'shop.v1.Shop/GetItem',
  upstream: 'shop',
  stream: false,
  access: 'user',
  roles: [],
  timeoutMs: 1000,
  successStatus: 200,
  tolerateInvalidToken: false,
  retry: null,
  limits: { byAddress: null, byUser: LIMIT },
}

const listing = (...entries: Partial<RouteEntry>[]): RouteListing => ({
  routes: entries.map(entry => ({ ...ROUTE, ...entry })),
  invalidTokenLimit: LIMIT,
})

const withLimit = (limit: Partial<typeof LIMIT>) => ({ limits: { byAddress: null, byUser: { ...LIMIT, ...limit } } })
const admin = { access: 'roles', roles: ['admin'] }

type Verdict = 'weaker' | 'stricter' | 'incomparable' | 'same'
const CASES: [string, Partial<RouteEntry>, Partial<RouteEntry>, ChangeKind, Verdict][] = [
  ['a lower access level', { access: 'user' }, { access: 'public' }, 'access', 'weaker'],
  ['optional access', { access: 'user' }, { access: 'optional' }, 'access', 'weaker'],
  ['a higher access level', { access: 'optional' }, { access: 'user' }, 'access', 'stricter'],
  ['roles that are no longer required', admin, { access: 'user' }, 'access', 'weaker'],
  ['roles that are required', { access: 'user' }, admin, 'access', 'stricter'],
  ['a further role', admin, { access: 'roles', roles: ['admin', 'editor'] }, 'access', 'weaker'],
  ['one role less', { access: 'roles', roles: ['admin', 'editor'] }, admin, 'access', 'stricter'],
  ['another role', admin, { access: 'roles', roles: ['editor'] }, 'access', 'incomparable'],
  ['a longer timeout', {}, { timeoutMs: 1000.5 }, 'timeout', 'weaker'],
  ['a shorter timeout', {}, { timeoutMs: 999 }, 'timeout', 'stricter'],
  ['another status of success', {}, { successStatus: 201 }, 'successStatus', 'same'],
  ['a tolerated token', {}, { tolerateInvalidToken: true }, 'tolerateInvalidToken', 'weaker'],
  ['a larger bucket', {}, withLimit({ capacity: 11 }), 'rateLimit', 'weaker'],
  ['a slower refill', {}, withLimit({ refillPerSecond: 0.5 }), 'rateLimit', 'stricter'],
  [
    'a larger bucket with a slower refill',
    {},
    withLimit({ capacity: 11, refillPerSecond: 0.5 }),
    'rateLimit',
    'incomparable',
  ],
  ['a lower cost', withLimit({ cost: 2 }), withLimit({ cost: 1 }), 'rateLimit', 'weaker'],
  ['a refund', {}, withLimit({ refundOnSuccess: true }), 'rateLimit', 'weaker'],
  ['another class with the same limit', {}, withLimit({ class: 'others' }), 'rateLimit', 'same'],
  ['another method', {}, { rpc: 'shop.v1.Shop/Get2' }, 'rpc', 'incomparable'],
  ['another upstream', {}, { upstream: 'shop2' }, 'upstream', 'same'],
]

for (const [description, from, to, change, order] of CASES) {
  t.test(`${description} is ${order === 'same' ? 'no weakening' : order}`, async t => {
    const changes = compareListings(listing(from), listing(to))
    t.match(changes, [{ route: 'GET /v1/items/{id}', change, order }])
    t.equal(changes.length, 1)
    t.equal(isWeakening(changes[0] as Change), order === 'weaker' || order === 'incomparable')
    t.not(changes[0]?.from, changes[0]?.to, 'the values differ in the report')
  })
}

t.test('a limit without bound is wider than any other', async t => {
  const unlimited = { limits: { byAddress: null, byUser: { ...LIMIT, capacity: null, refillPerSecond: null } } }
  t.match(compareListings(listing({}), listing(unlimited)), [{ change: 'rateLimit', order: 'weaker' }])
  t.match(compareListings(listing(unlimited), listing({})), [{ change: 'rateLimit', order: 'stricter' }])
})

t.test('a further route is a weakening if it needs no token, and a removed route is not', async t => {
  for (const [access, expected] of [
    ['public', true],
    ['optional', true],
    ['user', false],
  ] as const) {
    const [change, ...others] = compareListings(listing({}), listing({}, { path: '/v2/items', access }))
    t.match(change, { change: 'route', from: 'none', to: access })
    t.strictSame([isWeakening(change as Change), others], [expected, []])
  }
  t.match(compareListings(listing({}), listing()), [{ change: 'route', to: 'none', order: 'stricter' }])
})

t.test('the name of a variable in a path is no change, and the order of routes and roles neither', async t => {
  const roles = { access: 'roles', roles: ['admin', 'editor'] }
  const from = listing({ path: '/v1/{a}/x' }, { path: '/v1/y', ...roles })
  const to = listing({ path: '/v1/y', ...roles, roles: ['editor', 'admin'] }, { path: '/v1/{b}/x' })
  t.strictSame(compareListings(from, to), [])
})

t.test('a wider limit of invalid tokens is one weakening, not one for each route', async t => {
  const to = { ...listing({}, { path: '/v2' }), invalidTokenLimit: { ...LIMIT, capacity: 99 } }
  const changes = compareListings(listing({}, { path: '/v2' }), to)
  t.match(changes, [{ route: 'all routes', change: 'invalidTokenLimit', order: 'weaker' }])
  t.equal(changes.length, 1)
})

const OPENED = shopYaml(`    policies:
      shop.v1.Shop/GetItem: { access: public, override: true }
      shop.v1.Shop/CreateItem: { timeoutMs: 100 }
`)

function diffFolder(t: Test): string {
  return shopFolder(t, { 'new.yaml': OPENED })
}

t.test('policy-diff of two gateway.yaml files fails on a weakening, and prints the acknowledgement', async t => {
  const { code, lines, text } = await runCommand(policyDiff, diffFolder(t), ['gateway.yaml', 'new.yaml'])
  t.equal(code, 1)
  const expected = [
    'Weaker: callers gain access:',
    '  GET /v1/items/{id} (shop.v1.Shop/GetItem) access: user -> public',
    'Stricter: callers lose access:',
    '  POST /v1/items (shop.v1.Shop/CreateItem) timeout: 5000 ms -> 100 ms',
  ]
  for (const line of expected) t.ok(lines.includes(line), `${line}\n${text}`)
})

t.test('an acknowledgement admits exactly its change, and one that names no change is stale', async t => {
  const folder = diffFolder(t)
  const { lines } = await runCommand(policyDiff, folder, ['gateway.yaml', 'new.yaml'])
  const printed = lines.slice(lines.indexOf('acknowledged:')).join('\n')
  t.equal(parse(printed).acknowledged.length, 1)
  const file = printed.replace('reason: ""', 'reason: The catalogue is public.')
  writeFileSync(path.join(folder, 'ack.yaml'), file)
  const args = ['--acknowledge', 'ack.yaml', 'gateway.yaml']
  const accepted = await runCommand(policyDiff, folder, [...args, 'new.yaml'])
  t.equal(accepted.code, 0, accepted.text)
  t.match(accepted.text, 'Weaker, acknowledged:')

  const stale = await runCommand(policyDiff, folder, [...args, 'gateway.yaml'])
  t.equal(stale.code, 0)
  t.match(
    stale.text,
    new RegExp(`warning: stale acknowledgement: ${folder}/ack\\.yaml:2: GET /v1/items/\\{id\\} access`),
  )

  // The values are part of the acknowledgement.
  writeFileSync(path.join(folder, 'ack.yaml'), file.replace('to: "public"', 'to: "optional"'))
  const other = await runCommand(policyDiff, folder, [...args, 'new.yaml'])
  t.equal(other.code, 1)
  t.match(other.text, 'stale acknowledgement')
})

t.test('policy-diff compares outputs of routes --json, also with gateway.yaml, with the same result', async t => {
  const folder = diffFolder(t)
  for (const name of ['gateway', 'new']) {
    const { text } = await runCommand(routes, folder, ['--json', '--config', `${name}.yaml`])
    writeFileSync(path.join(folder, `${name}.json`), text)
  }
  const outputs = []
  for (const pair of [
    ['gateway.yaml', 'new.yaml'],
    ['gateway.json', 'new.json'],
    ['gateway.json', 'new.yaml'],
  ]) {
    const { code, text } = await runCommand(policyDiff, folder, ['--json', ...pair])
    t.equal(code, 1)
    outputs.push(JSON.parse(text))
  }
  t.strictSame(outputs[1], outputs[0])
  t.strictSame(outputs[2], outputs[0])
  t.strictSame(
    outputs[0].changes.map(({ route, change, order }: Change) => `${route} ${change} ${order}`),
    [
      'POST /v1/items timeout stricter',
      'GET /v1/items/{id} access weaker',
      // Of another bucket: that of the address.
      'GET /v1/items/{id} rateLimit same',
    ],
  )
  const same = await runCommand(policyDiff, folder, ['new.yaml', 'new.json'])
  t.strictSame([same.code, same.text], [0, 'No changes'])
})

for (const [description, file, message] of [
  ['a missing file', undefined, /cannot read .*other: ENOENT/],
  ['JSON that is no listing', '{"routes": [{}]}', /not the output of gatehouse routes --json/],
  ['a gateway.yaml that does not boot', 'upstreams: []', /other:1: upstreams/],
] as const) {
  t.test(`policy-diff rejects ${description}`, async t => {
    const folder = shopFolder(t, file === undefined ? {} : { other: file })
    const error = { name: 'SettingsError', message }
    await t.rejects(runCommand(policyDiff, folder, ['gateway.yaml', 'other']), error)
  })
}

t.test('policy-diff rejects an acknowledgement file with the line of each error', async t => {
  const folder = shopFolder(t, {
    'ack.yaml': 'acknowledged:\n  - route: GET /\n    change: access\n    from: a\n    to: b\n',
  })
  const args = ['--acknowledge', 'ack.yaml', 'gateway.yaml', 'gateway.yaml']
  await t.rejects(runCommand(policyDiff, folder, args), { message: /ack\.yaml:2: acknowledged\[0\]\.reason/ })
})
