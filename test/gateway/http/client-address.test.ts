import http from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { type ClientAddressOptions, registerClientAddress } from '../../../gateway/http/client-address.ts'
import { trustedAddresses } from '../../../gateway/http/trusted-addresses.ts'

const PROXY = '127.0.0.1'

/** Starts a server. Returns a function that sends headers from `from` and returns the client address of the request. */
async function start(t: Test, header: ClientAddressOptions['header'], proxies = ['127.0.0.1', '10.0.0.0/8']) {
  const app = Fastify()
  registerClientAddress(app, { header, isTrusted: proxies.length === 0 ? undefined : trustedAddresses(proxies) })
  app.get('/', request => [request.clientAddress, request.clientAddress])
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  return (headers: http.OutgoingHttpHeaders, from = PROXY) =>
    new Promise<string>((resolve, reject) => {
      const options = { port, host: '127.0.0.1', localAddress: from, headers, agent: false as const }
      http
        .get(options, async response => {
          const [first, second] = JSON.parse((await response.toArray()).join(''))
          if (first === second) resolve(first)
          else reject(new Error('The address changed'))
        })
        .on('error', reject)
    })
}

const CLIENT = '198.51.100.7'

/** Headers of a trusted proxy -> client address. */
const X_FORWARDED_FOR: [value: string | string[], address: string][] = [
  [CLIENT, CLIENT],
  [`${CLIENT}:50001`, CLIENT],
  [` ${CLIENT} `, CLIENT],
  [`"${CLIENT}"`, CLIENT],
  ['2001:db8::7', '2001:db8::7'],
  ['[2001:db8::7]', '2001:db8::7'],
  ['[2001:db8::7]:50001', '2001:db8::7'],
  ['"[2001:db8::7]:50001"', '2001:db8::7'],
  ['::ffff:198.51.100.7', CLIENT],
  ['[::ffff:198.51.100.7]:1', CLIENT],
  [`203.0.113.9, ${CLIENT}`, CLIENT],
  [`${CLIENT}:1, 10.0.0.2:2, 10.0.0.3`, CLIENT],
  [[`203.0.113.9`, `${CLIENT}:1`, '10.0.0.2'], CLIENT],
  [`nonsense, ${CLIENT}`, CLIENT],
  [`", ${CLIENT}`, CLIENT],
  [`${CLIENT},, ,`, CLIENT],
  ['10.0.0.4, 10.0.0.3', '10.0.0.4'],
  ['nonsense', PROXY],
  ['unknown', PROXY],
  ['', PROXY],
  ['nonsense, 10.0.0.2', '10.0.0.2'],
  ['198.51.100.256', PROXY],
  ['198.51.100.7:', PROXY],
  ['1.2.3', PROXY],
  ['[2001:db8::7', PROXY],
  ['x'.repeat(8000), PROXY],
  ['10.0.0.2,'.repeat(1500), '10.0.0.2'],
]

const FORWARDED: [value: string | string[], address: string][] = [
  [`for=${CLIENT}`, CLIENT],
  [`For="${CLIENT}:50001"`, CLIENT],
  [`for=${CLIENT}:50001`, CLIENT],
  ['for="[2001:db8::7]"', '2001:db8::7'],
  ['for="[2001:db8::7]:50001";proto=https', '2001:db8::7'],
  [`proto=https;by=10.0.0.1;FOR=${CLIENT};host=a`, CLIENT],
  [`for="\\1\\98.51.100.7"`, CLIENT],
  [`for=203.0.113.9, for=${CLIENT}`, CLIENT],
  [[`for=203.0.113.9`, `for=${CLIENT};by=a`, 'for=10.0.0.2'], CLIENT],
  [`for="203.0.113.9, for=203.0.113.8", for=${CLIENT}`, CLIENT],
  [`for=", for=${CLIENT}`, CLIENT],
  [`for=x", for="${CLIENT}"`, CLIENT],
  [`host="a,b;for=203.0.113.9";for=${CLIENT}`, CLIENT],
  ['for=unknown', PROXY],
  ['for=_hidden', PROXY],
  ['for="_hidden:_port"', PROXY],
  ['for=_hidden, for=10.0.0.2', '10.0.0.2'],
  ['proto=https', PROXY],
  [`for=${CLIENT};for=203.0.113.9`, PROXY],
  [CLIENT, PROXY],
  [`for =${CLIENT}`, PROXY],
  ['x'.repeat(8000), PROXY],
  ['"'.repeat(8000), PROXY],
]

for (const [header, cases] of [
  ['x-forwarded-for', X_FORWARDED_FOR],
  ['forwarded', FORWARDED],
] as const) {
  t.test(`the client address is read from ${header} of a trusted proxy, in the forms that proxies write`, async t => {
    const addressOf = await start(t, header)
    for (const [value, address] of cases) {
      t.equal(await addressOf({ [header]: value }), address, JSON.stringify(value).slice(0, 100))
    }
    t.equal(await addressOf({}), PROXY, 'no header')
  })

  t.test(`${header} of another peer is ignored`, async t => {
    const value = header === 'forwarded' ? `for=${CLIENT}` : CLIENT
    t.equal(await (await start(t, header))({ [header]: value }, '127.0.0.2'), '127.0.0.2')
    t.equal(await (await start(t, header, []))({ [header]: value }), PROXY, 'without trusted proxies')
  })
}

t.test('exactly one header is read', async t => {
  const headers = { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.2', 'x-real-ip': '198.51.100.3' }
  t.equal(await (await start(t, 'x-forwarded-for'))(headers), '198.51.100.1')
  t.equal(await (await start(t, 'forwarded'))(headers), '198.51.100.2')
  const { forwarded: _, ...others } = headers
  t.equal(await (await start(t, 'forwarded'))(others), PROXY, 'there is no fallback to another header')
})
