import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { SettingsError } from '#runtime/process/env.ts'
import { policyOf } from '../../gateway/edge/limits/rate-limits.ts'
import { readGatewayFile } from '../../gateway/gateway-file.ts'

const defaultFile = path.resolve(import.meta.dirname, '../../gateway/gateway.yaml')

async function writeGatewayFile(text: string): Promise<string> {
  const file = path.join(t.testdir({}), 'gateway.yaml')
  await writeFile(file, text)
  return file
}

t.test('the gateway.yaml of the repository has the documented rate limits', async t => {
  const { upstreams, limits } = readGatewayFile(defaultFile, {})
  t.ok(path.isAbsolute(upstreams[0]?.contract ?? ''))
  const policies = Object.entries(limits.classes).map(([name, bucket]) =>
    bucket === 'unlimited' ? name : policyOf(name, bucket),
  )
  t.strictSame(policies, [
    '"user";q=100;w=10',
    '"anonymous";q=100;w=900',
    '"auth";q=300;w=900',
    '"signup";q=50;w=3600',
    '"session";q=300;w=30',
    '"keys";q=100;w=100',
    '"other";q=1000;w=10',
  ])
})

t.test('the error for an invalid file names each invalid entry', async t => {
  const file = await writeGatewayFile(`
    upstreams: [{ name: Bad, address: a, contract: b, services: [c] }]
    limits:
      classes:
        user: { capacity: 0, refill: 10 / 1s }
        anonymous: { capacity: 5, refill: 5 per minute }
        huge: { capacity: 1000000000, refill: 1 / 1h }
        extra: { capacity: 5, refill: 5 / m, burst: 1 }
        Wrong: unlimited
        never: none
      methods:
        x/Y: { cost: 0 }
  `)
  try {
    readGatewayFile(file, {})
    t.fail('an invalid file was accepted')
  } catch (error) {
    t.type(error, SettingsError)
    const { message } = error as Error
    const expected = [
      'upstreams[0].name',
      'user.capacity',
      'anonymous.refill',
      'classes.huge',
      'classes.extra',
      'Wrong',
      'classes.never',
      '["x/Y"].cost',
    ]
    for (const name of expected) t.match(message, name, message)
    t.match(message, '5 / 15m', 'the message for a refill contains an example')
  }
})

t.test('the classes user and anonymous are required', async t => {
  const file = await writeGatewayFile(
    'upstreams: [{ name: a, address: a, contract: b, services: [c] }]\nlimits: { classes: {} }',
  )
  t.throws(() => readGatewayFile(file, {}), { message: /user and anonymous/ })
})

t.test('variables are replaced by their value or default, and the error names one that has neither', async t => {
  const file = await writeGatewayFile(`
    upstreams: [{ name: a, address: "\${WHERE:-here}", contract: "\${WHAT}", services: [c] }]
    limits: { classes: { user: unlimited, anonymous: unlimited } }
  `)
  t.throws(() => readGatewayFile(file, {}), { message: /WHAT/ })
  t.match(readGatewayFile(file, { WHAT: '/x' }).upstreams[0], { address: 'here', contract: '/x' })
})

t.test('variables in comments are ignored, and a number sign in a value starts no comment', async t => {
  const file = await writeGatewayFile(`
    # Set \${UNSET_A} to use another address.
    upstreams: # \${UNSET_B}
      - { name: a, address: "\${WHERE:-a#\${x}", contract: \${WHAT:-b}, services: [c] } # \${UNSET_C}
      #- { name: \${UNSET_D} }
    limits: { classes: { user: { capacity: \${CAPACITY}, refill: 1 / 1s }, anonymous: unlimited } }
  `)
  const read = readGatewayFile(file, { CAPACITY: '7', WHAT: '/x#y' })
  t.match(read.upstreams[0], { address: 'a#${x', contract: '/x#y' })
  const { user } = read.limits.classes
  t.equal(user && user !== 'unlimited' && policyOf('user', user), '"user";q=7;w=7')
})

t.test('a file of every form is the same after its variables are replaced', async t => {
  const text = await readFile(defaultFile, 'utf8')
  for (const form of [text, text.replaceAll('\n', '\r\n'), `\ufeff${text}`, `---\n${text}`]) {
    const file = await writeGatewayFile(form)
    t.equal(readGatewayFile(file, {}).upstreams.length, 2)
  }
})

t.test('the error for an unknown key has the line of the key', async t => {
  const file = await writeGatewayFile(
    'upstreams:\n  - name: shop\n    address: a\n    contract: b\n    services: [c]\n    polices: {}\n',
  )
  t.throws(() => readGatewayFile(file, {}), { message: /gateway\.yaml:6: upstreams\[0\]: .*"polices"/ })
})
