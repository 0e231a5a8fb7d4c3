import { normalizeIP } from '@fastify/rate-limit'
import fc from 'fast-check'
import t from 'tap'
import { networkOf, normalizeAddress } from '#runtime/ip-address.ts'

function clientNetwork(text: string): string | undefined {
  const address = normalizeAddress(text)
  return address === undefined ? undefined : networkOf(address)
}

const CASES: [address: string, network: string | undefined][] = [
  ['203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2::1', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::ffff:cb00:7107', '203.0.113.7'],
  ['0:0:0:0:0:ffff:203.0.113.7', '203.0.113.7'],
  ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ['', undefined],
  ['unknown', undefined],
  ['203.0.113.07', undefined],
  ['203.0.113.7:80', undefined],
  ['[2001:db8::1]', undefined],
  ['x'.repeat(100_000), undefined],
]

t.test('networkOf returns the IPv4 address or the /64 prefix; a text that is no address has no network', async t => {
  for (const [address, network] of CASES) t.equal(clientNetwork(address), network, address.slice(0, 40))
})

t.test('two IPv6 addresses are in one network exactly if @fastify/rate-limit gives them the same key', async () => {
  // Few values, so that two generated addresses are often in the same /64.
  const group = fc.constantFrom(0, 1, 0xffff, 0x2001)
  const address = fc.array(group, { minLength: 8, maxLength: 8 }).map(groups => {
    const text = groups.map(value => value.toString(16)).join(':')
    return text.replace(/(^|:)0(:0)+(:|$)/, '::')
  })
  fc.assert(
    fc.property(address, address, (a, b) => {
      const isSame = normalizeIP(a) === normalizeIP(b)
      return (clientNetwork(a) === clientNetwork(b)) === isSame
    }),
    { numRuns: 5000 },
  )
})

t.test('a network has at most 24 characters', async () => {
  fc.assert(fc.property(fc.ipV6(), address => (clientNetwork(address) ?? '').length <= 24))
})
