/** Every special value of a setting that its description documents: `off`, 0, unset, and the values of a choice. */

import t from 'tap'
import { z } from 'zod'
import { readSettings, type SettingsShape } from '#runtime/process/env.ts'
import { settingsSchema as auth } from '../../auth-svc/config.ts'
import { devSettings, seedSettings } from '../../deploy/dev/settings.ts'
import { settingsSchema as gateway } from '../../gateway/config.ts'
import { settingsSchema as user } from '../../user-svc/config.ts'
import { startSystem } from '../support/test-system.ts'

const KEY = Buffer.alloc(32, 7).toString('base64')
const REQUIRED = {
  DATABASE_URL: 'postgres://a:b@host/db',
  REDIS_URL: 'redis://host',
  PASSWORD_PEPPER: KEY,
  REFRESH_TOKEN_SECRET: KEY,
  SIGNING_KEY_SECRET: KEY,
  PAGE_TOKEN_SECRET: KEY,
}
const shapes: Record<string, SettingsShape> = { gateway, auth, user, dev: devSettings, seed: seedSettings }

/** Value in the environment and parsed value. An undefined value is an unset variable. */
const SPECIAL: Record<string, [value: string | undefined, parsed: unknown][]> = {
  GATEWAY_METRICS_PORT: [
    [undefined, 9464],
    ['off', undefined],
    ['0', 0],
  ],
  AUTH_SVC_METRICS_PORT: [
    [undefined, 9465],
    ['off', undefined],
    ['0', 0],
  ],
  USER_SVC_METRICS_PORT: [
    [undefined, 9466],
    ['off', undefined],
    ['0', 0],
  ],
  GATEWAY_PORT: [['0', 0]],
  AUTH_SVC_PORT: [['0', 0]],
  USER_SVC_PORT: [['0', 0]],
  GATEWAY_CONTRACT_DIR: [[undefined, undefined]],
  GRPC_REFLECTION: [
    ['on', 'on'],
    ['off', 'off'],
  ],
  GATEWAY_WORKERS: [
    [undefined, undefined],
    ['', undefined],
  ],
  GATEWAY_WATCH: [
    ['on', 'on'],
    ['off', 'off'],
  ],
  SERVER_TIMING: [
    ['on', 'on'],
    ['off', 'off'],
  ],
  CORS_ORIGINS: [[undefined, []]],
  TRUSTED_PROXIES: [
    [undefined, []],
    ['loopback,linklocal,uniquelocal', ['loopback', 'linklocal', 'uniquelocal']],
  ],
  CLIENT_ADDRESS_HEADER: [
    ['x-forwarded-for', 'x-forwarded-for'],
    ['forwarded', 'forwarded'],
  ],
  LISTEN_HOST: [['0.0.0.0', '0.0.0.0']],
  DATABASE_POOL_SIZE: [[undefined, undefined]],
  DATABASE_PREPARED: [
    ['on', 'on'],
    ['off', 'off'],
  ],
  DATABASE_SLOW_PLANS: [
    ['on', 'on'],
    ['off', 'off'],
  ],
  PASSWORD_QUEUE_LIMIT: [[undefined, undefined]],
  REUSE_SCOPE: [
    ['user', 'user'],
    ['session', 'session'],
  ],
  ADMIN_EMAIL: [
    [undefined, undefined],
    ['', undefined],
    [' ', undefined],
  ],
  OTEL_EXPORTER_OTLP_ENDPOINT: [
    [undefined, undefined],
    ['', undefined],
  ],
  OTEL_EXPORTER_OTLP_PROTOCOL: [
    ['http/protobuf', 'http/protobuf'],
    ['http/json', 'http/json'],
  ],
  TRACE_SAMPLE_RATIO: [
    ['0', 0],
    ['1', 1],
    ['', 0.01],
  ],
  TRACE_ERROR_SAMPLE_RATIO: [
    ['0', 0],
    ['1', 1],
    [' ', 1],
  ],
  LOG_LEVEL: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map(level => [level, level]),
}

for (const [setting, values] of Object.entries(SPECIAL)) {
  t.test(`${setting} accepts its documented special values`, async t => {
    const readers = Object.entries(shapes).filter(([, shape]) => setting in shape)
    t.ok(readers.length > 0)
    for (const [process, shape] of readers) {
      for (const [value, parsed] of values) {
        const settings = readSettings(shape, { ...REQUIRED, [setting]: value })
        t.same(settings[setting], parsed, `${process}: ${value}`)
      }
    }
  })
}

t.test('every setting with a choice, and every one that documents off, 0 or unset, is in the table above', async t => {
  for (const shape of Object.values(shapes)) {
    for (const [setting, schema] of Object.entries(shape)) {
      const isChoice = optionsOf(schema).length > 0
      const isSpecial = /\boff\b|\b0 (?:binds|selects)|\b[Uu]nset:|If unset|\bloopback\b/.test(schema.description ?? '')
      if (!isChoice && !isSpecial) continue
      const tested = (SPECIAL[setting] ?? []).map(([value]) => value)
      t.ok(tested.length > 0, setting)
      for (const option of optionsOf(schema)) t.ok(tested.includes(option), `${setting}=${option}`)
    }
  }
})

/** The values of an enum, also inside of a default. */
function optionsOf(schema: z.ZodType): readonly string[] {
  if (schema instanceof z.ZodDefault) return optionsOf(schema.unwrap() as z.ZodType)
  return schema instanceof z.ZodEnum ? (schema.options as string[]) : []
}

t.test('no process serves metrics with its metrics port off', async t => {
  const off = { GATEWAY_METRICS_PORT: 'off', AUTH_SVC_METRICS_PORT: 'off', USER_SVC_METRICS_PORT: 'off' }
  const { gateway, authSvc, userSvc, url } = await startSystem(t, { env: off })
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  for (const { name, entries } of [gateway, authSvc, userSvc]) {
    t.notOk(
      entries.some(({ msg }) => msg === 'metrics server listening'),
      name,
    )
  }
})
