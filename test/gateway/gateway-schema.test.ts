import { readFileSync } from 'node:fs'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t from 'tap'
import { parse } from 'yaml'
import { SCHEMA_FILE } from '../../deploy/dev/gateway-schema.ts'
import { gatewayFileSchema } from '../../gateway/gateway-file.ts'

const schema = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8'))
const validate = new Ajv2020({ strict: false }).compile(schema)
const yaml = readFileSync(new URL('../../gateway/gateway.yaml', import.meta.url), 'utf8')

t.test('gateway.schema.json matches the code', async t => {
  t.same(schema, gatewayFileSchema(), 'to update it, run: node deploy/dev/gateway-schema.ts')
})

t.test('gateway.yaml of the repository is valid by the schema and names it', async t => {
  t.ok(validate(parse(yaml)), JSON.stringify(validate.errors))
  t.match(yaml, /^# yaml-language-server: \$schema=gateway.schema.json$/m)
})

const UPSTREAM = { name: 'shop', address: 'a', contract: 'c', services: ['s'] }

for (const [fault, file] of Object.entries({
  'an unknown key': { upstreams: [{ ...UPSTREAM, adress: 'b' }] },
  'a missing address': { upstreams: [{ ...UPSTREAM, address: undefined }] },
  'an unknown access level': { upstreams: [{ ...UPSTREAM, policies: { default: { access: 'users' } } }] },
  'an invalid name of a policy': {
    upstreams: [{ ...UPSTREAM, policies: { 'shop.v1.Shop/Get/All': { access: 'user' } } }],
  },
  'a class that is neither a bucket nor unlimited': { upstreams: [UPSTREAM], limits: { classes: { user: 'none' } } },
})) {
  t.test(`the schema rejects ${fault}`, async t => {
    t.notOk(validate(JSON.parse(JSON.stringify(file))))
  })
}

t.test('the schema describes every key of an upstream', async t => {
  const { properties } = schema.properties.upstreams.items
  for (const [key, value] of Object.entries<{ description?: string }>(properties))
    t.type(value.description, 'string', key)
})
