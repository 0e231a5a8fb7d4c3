import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'
import { readTlsCredentials } from '../../../gateway/upstream/tls-credentials.ts'
import { resolvePaths, upstreamSchema } from '../../../gateway/upstream/upstream-config.ts'
import { issueCertificates } from '../../support/grpc-peers/certificates.ts'

const ENTRY = { name: 'user', address: 'dns:///user-svc:50052', contract: 'c.binpb', services: ['user.v1.UserService'] }

t.test('the defaults of an upstream are transport http2, plain text and no health checking', async t => {
  t.match(upstreamSchema.parse(ENTRY), {
    transport: 'http2',
    tls: undefined,
    health: false,
    keepalive: { intervalMs: 10_000, timeoutMs: 2000, withoutCalls: false },
  })
})

t.test('paths are relative to the folder of gateway.yaml', async t => {
  const tls = { ca: 'tls/ca.pem', cert: '/etc/tls/client.pem', key: '/etc/tls/client.key' }
  const resolved = resolvePaths(upstreamSchema.parse({ ...ENTRY, tls }), '/srv/gateway')
  t.equal(resolved.contract, '/srv/gateway/c.binpb')
  t.same(resolved.tls, { ...tls, ca: '/srv/gateway/tls/ca.pem', serverName: undefined })
})

t.test('the error for an invalid setting names the setting', async t => {
  const invalid: [entry: object, name: RegExp][] = [
    [{ transport: 'http3' }, /transport/],
    [{ tls: { ca: 'ca.pem', cert: 'client.pem' } }, /cert and key together.*tls/s],
    [{ tls: { servername: 'x' } }, /servername.*tls/s],
    [{ health: 7 }, /health/],
    [{ health: 'x'.repeat(128) }, /health/],
    [{ health: 'user.v1.UserService', transport: 'grpc-js' }, /http2.*health/s],
    [{ keepalive: { intervalMs: 10 } }, /keepalive\.intervalMs/],
    [{ keepalive: { intervalMs: 86_400_001 } }, /keepalive\.intervalMs/],
  ]
  for (const [entry, name] of invalid) {
    const { error } = upstreamSchema.safeParse({ ...ENTRY, ...entry })
    t.match(error && z.prettifyError(error), name, JSON.stringify(entry))
  }
})

t.test('the error for an invalid TLS file names the file and its setting', async t => {
  const folder = await mkdtemp(path.join(tmpdir(), 'gatehouse-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const { client, server } = await issueCertificates()
  const file = async (name: string, text: string) => {
    await writeFile(path.join(folder, name), text)
    return path.join(folder, name)
  }
  const ca = await file('ca.pem', client.ca)
  const cert = await file('client.pem', client.cert)
  const key = await file('client.key', client.key)
  const otherKey = await file('server.key', server.key)
  const text = await file('text.pem', 'not a certificate')

  const credentials = readTlsCredentials({ ca, cert, key, serverName: 'localhost' }, 'tls')
  t.same(credentials, {
    ca: Buffer.from(client.ca),
    cert: Buffer.from(client.cert),
    key: Buffer.from(client.key),
    serverName: 'localhost',
  })
  const invalid: [object, RegExp][] = [
    [{ ca: '/nowhere/ca.pem' }, /^upstream user: tls\.ca: .*ENOENT/],
    [{ ca: text }, /^upstream user: tls\.ca: .*text\.pem/],
    [{ cert: text, key }, /^upstream user: tls\.cert: /],
    [{ cert, key: cert }, /^upstream user: tls\.key: /],
    [{ cert, key: otherKey }, /^upstream user: tls\.key: .*server\.key is not the private key of .*client\.pem/],
  ]
  for (const [files, message] of invalid) {
    const error = t.throws(() => readTlsCredentials(files, 'upstream user: tls')) as Error
    t.ok(error instanceof SettingsError)
    t.match(error.message, message)
    t.notMatch(error.message, /PRIVATE KEY/)
  }
})
