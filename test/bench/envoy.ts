/** `make bench-envoy`: the gateway beside Envoy doing what it can of the same, on one backend and in one run. */
import { ENVOY_BINARY, ENVOY_VERSION, prepareEnvoy } from '../support/envoy.ts'
import { PUBLIC_USER_PATH } from './contract.ts'
import { asUsers, PRINCIPALS } from './edge.ts'
import { envoyConfig, envoyProxyConfig } from './envoy-config.ts'
import { FLOOR, floorCase } from './floor-case.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { type ServerUnderTest, startGateway, startServer, waitUntilAnswering } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import type { Surroundings } from './surroundings.ts'
import { referenceRow } from './table.ts'
import { accessTokens } from './tokens.ts'

const ENVOY = `Envoy ${ENVOY_VERSION}`

export async function openEnvoy(around: Surroundings): Promise<Stage> {
  const problem = await prepareEnvoy()
  if (problem !== undefined) throw new Error(problem)
  const { contract, key, env } = around
  const traced = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: around.otlpOrigin, TRACE_SAMPLE_RATIO: '0.01' }
  const [transcoding, edge, envoy, forgetful, proxy] = await Promise.all([
    startGateway('gateway-transcoding', { ...around.gateway, env: traced }),
    startGateway('gateway', { ...around.gateway, env: traced }),
    startEnvoy('envoy', around, port => envoyConfig({ ...around, port, cachesTokens: true })),
    startEnvoy('envoy-forgetful', around, port => envoyConfig({ ...around, port, cachesTokens: false })),
    startEnvoy('envoy-proxy', around, port => envoyProxyConfig({ ...around, port })),
  ])

  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expected = contract.json
  const publicCase = (name: string, server: ServerUnderTest) =>
    loadCase({ name, server, requests: () => [{ path: PUBLIC_USER_PATH }], expected })
  const edgeCase = (name: string, server: ServerUnderTest) =>
    loadCase({ name, server, requests: () => users, expected, warmUpSeconds: LONG_WARM_UP_SECONDS })
  return {
    cases: [
      floorCase(around, 'floor'),
      publicCase('transcoding', transcoding),
      publicCase('Envoy as a proxy', proxy),
      publicCase('transcoding by Envoy', envoy),
      edgeCase('full edge', edge),
      edgeCase('edge of Envoy', envoy),
      edgeCase('edge of Envoy without a cache', forgetful),
      floorCase(around, 'floor again'),
    ],
    rows: async outcomes => [
      referenceRow(outcomes, { name: 'floor: Fastify, a fixed answer', keys: FLOOR, against: FLOOR }),
      referenceRow(outcomes, {
        name: `${ENVOY}: hands on by HTTP/1.1, a line of log, nothing else`,
        keys: ['Envoy as a proxy'],
        against: FLOOR,
      }),
      referenceRow(outcomes, {
        name: `${ENVOY}: transcoding only`,
        keys: ['transcoding by Envoy'],
        against: FLOOR,
      }),
      referenceRow(outcomes, {
        name: 'Gatehouse: transcoding only',
        keys: ['transcoding'],
        against: ['transcoding by Envoy'],
        label: 'Envoy',
      }),
      referenceRow(outcomes, {
        name: `${ENVOY}: EdDSA tokens, a limit of its own, no revocation, no traces`,
        keys: ['edge of Envoy without a cache'],
        against: FLOOR,
      }),
      referenceRow(outcomes, {
        name: `${ENVOY}: the same, verified tokens remembered`,
        keys: ['edge of Envoy'],
        against: FLOOR,
      }),
      referenceRow(outcomes, {
        name: 'Gatehouse: full edge, everything on',
        keys: ['full edge'],
        against: ['edge of Envoy without a cache'],
        label: 'Envoy',
      }),
      referenceRow(outcomes, {
        name: 'Gatehouse: the same',
        keys: ['full edge'],
        against: ['edge of Envoy'],
        label: 'Envoy that remembers tokens',
      }),
    ],
    stop: async () => {
      for (const server of [transcoding, edge, envoy, forgetful, proxy]) await server.stop()
    },
  }
}

function startEnvoy(name: string, around: Surroundings, configAt: (port: number) => string): Promise<ServerUnderTest> {
  return startServer(
    name,
    port => ({
      command: ENVOY_BINARY,
      args: [
        ...['--config-yaml', configAt(port)],
        ...['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
      ],
      env: around.env,
    }),
    waitUntilAnswering,
  )
}
