import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { SettingsError } from '#runtime/process/env.ts'
import { policyField } from '../../gateway/edge/limits/rate-limits.ts'
import { readGatewayFile } from '../../gateway/gateway-file.ts'

const shipped = path.resolve(import.meta.dirname, '../../gateway/gateway.yaml')

async function fileOf(text: string): Promise<string> {
  const file = path.join(t.testdir({}), 'gateway.yaml')
  await writeFile(file, text)
  return file
}

t.test('the file as shipped has the limits that are promised', async t => {
  const { upstreams, limits } = readGatewayFile(shipped, {})
  t.ok(path.isAbsolute(upstreams[0]?.contract ?? ''))
  const policies = Object.entries(limits.classes).map(([name, bucket]) =>
    bucket === 'unlimited' ? name : policyField(name, bucket),
  )
  t.strictSame(policies, [
    '"user";q=100;w=10',
    '"anonymous";q=100;w=900',
    '"auth";q=5;w=900',
    '"session";q=300;w=30',
    '"keys";q=100;w=100',
  ])
})

t.test('every bad entry is named', async t => {
  const file = await fileOf(`
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
    t.fail('it was taken')
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
    t.match(message, '5 / 15m', 'an example of what it takes')
  }
})

t.test('the classes of who is signed in and who is not must be there', async t => {
  const file = await fileOf('upstreams: [{ name: a, address: a, contract: b, services: [c] }]\nlimits: { classes: {} }')
  t.throws(() => readGatewayFile(file, {}), { message: /user and anonymous/ })
})

t.test('settings stand in the file by name, and one that is not set is named', async t => {
  const file = await fileOf(`
    upstreams: [{ name: a, address: "\${WHERE:-here}", contract: "\${WHAT}", services: [c] }]
    limits: { classes: { user: unlimited, anonymous: unlimited } }
  `)
  t.throws(() => readGatewayFile(file, {}), { message: /WHAT/ })
  t.match(readGatewayFile(file, { WHAT: '/x' }).upstreams[0], { address: 'here', contract: '/x' })
})
