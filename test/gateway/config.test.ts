import Fastify from 'fastify'
import t from 'tap'
import { readSettings } from '#runtime/process/env.ts'
import { settings as shape } from '../../gateway/config.ts'

const read = (env: Record<string, string>) =>
  readSettings(shape, { REDIS_URL: 'redis://127.0.0.1:6379', TOKEN_ISSUER: 'https://api.example', ...env })

t.test('proxies are trusted by address or network', async t => {
  const { TRUSTED_PROXIES } = read({ TRUSTED_PROXIES: '10.0.0.0/8, 192.0.2.1,2001:db8::/32 ,::1,loopback' })
  t.same(TRUSTED_PROXIES, ['10.0.0.0/8', '192.0.2.1', '2001:db8::/32', '::1', 'loopback'])
  t.ok(Fastify({ trustProxy: TRUSTED_PROXIES }), 'as Fastify takes them')
  for (const bad of [
    'nonsense',
    '10.0.0.0/99',
    '10.0.0.0/0',
    '::/0',
    '::/129',
    '10.0.0.1/8/8',
    '10.0.0.0/',
    '300.0.0.1',
  ]) {
    t.throws(() => read({ TRUSTED_PROXIES: bad }), { message: /TRUSTED_PROXIES: takes addresses and networks/ }, bad)
  }
})

t.test('there are as many workers as a machine may have use for', async t => {
  t.equal(read({ GATEWAY_WORKERS: '4' }).GATEWAY_WORKERS, 4)
  t.equal(read({}).GATEWAY_WORKERS, undefined)
  for (const [bad, message] of [
    ['0', /GATEWAY_WORKERS: takes 1 or more/],
    ['-1', /GATEWAY_WORKERS: takes 1 or more/],
    ['1000000000', /GATEWAY_WORKERS: takes 256 at the most/],
    ['1.5', /GATEWAY_WORKERS: takes a whole number/],
    ['all', /GATEWAY_WORKERS: takes a whole number/],
  ] as const) {
    t.throws(() => read({ GATEWAY_WORKERS: bad }), { message }, bad)
  }
})
