import Fastify from 'fastify'
import t from 'tap'
import { readSettings } from '#runtime/process/env.ts'
import { settingsSchema } from '../../gateway/config.ts'

const read = (env: Record<string, string>) =>
  readSettings(settingsSchema, { REDIS_URL: 'redis://127.0.0.1:6379', TOKEN_ISSUER: 'https://api.example', ...env })

t.test('TRUSTED_PROXIES accepts addresses and networks, and rejects a prefix of 0', async t => {
  const { TRUSTED_PROXIES } = read({ TRUSTED_PROXIES: '10.0.0.0/8, 192.0.2.1,2001:db8::/32 ,::1,loopback' })
  t.same(TRUSTED_PROXIES, ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32', '::1', 'loopback'])
  t.ok(Fastify({ trustProxy: TRUSTED_PROXIES }), 'Fastify accepts the parsed list')
  for (const invalid of [
    'nonsense',
    '10.0.0.0/99',
    '10.0.0.0/0',
    '::/0',
    '::/129',
    '10.0.0.1/8/8',
    '10.0.0.0/',
    '300.0.0.1',
  ]) {
    const message = /TRUSTED_PROXIES: must be addresses or networks/
    t.throws(() => read({ TRUSTED_PROXIES: invalid }), { message }, invalid)
  }
})

t.test('GATEWAY_WORKERS is a whole number from 1 to 256, or unset', async t => {
  t.equal(read({ GATEWAY_WORKERS: '4' }).GATEWAY_WORKERS, 4)
  t.equal(read({}).GATEWAY_WORKERS, undefined)
  for (const [invalid, message] of [
    ['0', /GATEWAY_WORKERS: must be at least 1/],
    ['-1', /GATEWAY_WORKERS: must be at least 1/],
    ['1000000000', /GATEWAY_WORKERS: must be at most 256/],
    ['1.5', /GATEWAY_WORKERS: must be a whole number/],
    ['all', /GATEWAY_WORKERS: must be a whole number/],
  ] as const) {
    t.throws(() => read({ GATEWAY_WORKERS: invalid }), { message }, invalid)
  }
})
