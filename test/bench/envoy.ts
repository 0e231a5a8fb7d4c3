/** `make bench-envoy`: compares the gateway with Envoy, with the same backend and in one run. */
import { ENVOY_BINARY, ENVOY_VERSION, prepareEnvoy } from '../support/envoy.ts'
import { BASELINE, baselineCase } from './baseline-case.ts'
import { PUBLIC_USER_PATH } from './contract.ts'
import { asUsers, PRINCIPALS } from './edge.ts'
import type { BenchEnvironment } from './environment.ts'
import { envoyConfig, envoyProxyConfig } from './envoy-config.ts'
import { LONG_WARM_UP_SECONDS, loadCase } from './load-case.ts'
import { type ServerUnderTest, startGateway, startServer, waitUntilResponding } from './server-under-test.ts'
import type { Stage } from './stage.ts'
import { referenceRow } from './table.ts'
import { accessTokens } from './tokens.ts'

const ENVOY = `Envoy ${ENVOY_VERSION}`

/** @throws if Envoy cannot be installed. */
export async function openEnvoy(environment: BenchEnvironment): Promise<Stage> {
  const problem = await prepareEnvoy()
  if (problem !== undefined) throw new Error(problem)
  const { contract, key, env } = environment
  const traced = { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: environment.otlpOrigin, TRACE_SAMPLE_RATIO: '0.01' }
  const [transcoding, edge, envoy, uncached, proxy] = await Promise.all([
    startGateway('gateway-transcoding', { ...environment.gateway, env: traced }),
    startGateway('gateway', { ...environment.gateway, env: traced }),
    startEnvoy('envoy', environment, port => envoyConfig({ ...environment, port, cachesTokens: true })),
    startEnvoy('envoy-uncached', environment, port => envoyConfig({ ...environment, port, cachesTokens: false })),
    startEnvoy('envoy-proxy', environment, port => envoyProxyConfig({ ...environment, port })),
  ])

  const users = asUsers(accessTokens(key, PRINCIPALS))
  const expected = contract.json
  const publicCase = (name: string, server: ServerUnderTest) =>
    loadCase({ name, server, requests: () => [{ path: PUBLIC_USER_PATH }], expected })
  const edgeCase = (name: string, server: ServerUnderTest) =>
    loadCase({ name, server, requests: () => users, expected, warmUpSeconds: LONG_WARM_UP_SECONDS })
  return {
    cases: [
      baselineCase(environment, 'baseline'),
      publicCase('transcoding', transcoding),
      publicCase('Envoy proxy', proxy),
      publicCase('Envoy transcoding', envoy),
      edgeCase('full edge', edge),
      edgeCase('Envoy edge', envoy),
      edgeCase('Envoy edge, no token cache', uncached),
      baselineCase(environment, 'baseline 2'),
    ],
    rows: async outcomes => [
      referenceRow(outcomes, { name: 'baseline: Fastify, fixed response', keys: BASELINE, against: BASELINE }),
      referenceRow(outcomes, {
        name: `${ENVOY}: HTTP/1.1 proxy with access log only`,
        keys: ['Envoy proxy'],
        against: BASELINE,
      }),
      referenceRow(outcomes, {
        name: `${ENVOY}: transcoding only`,
        keys: ['Envoy transcoding'],
        against: BASELINE,
      }),
      referenceRow(outcomes, {
        name: 'Gatehouse: transcoding only',
        keys: ['transcoding'],
        against: ['Envoy transcoding'],
        label: 'Envoy',
      }),
      referenceRow(outcomes, {
        name: `${ENVOY}: EdDSA tokens, local rate limit, no revocation, no traces`,
        keys: ['Envoy edge, no token cache'],
        against: BASELINE,
      }),
      referenceRow(outcomes, {
        name: `${ENVOY}: the same, with a cache of verified tokens`,
        keys: ['Envoy edge'],
        against: BASELINE,
      }),
      referenceRow(outcomes, {
        name: 'Gatehouse: full edge, everything on',
        keys: ['full edge'],
        against: ['Envoy edge, no token cache'],
        label: 'Envoy',
      }),
      referenceRow(outcomes, {
        name: 'Gatehouse: the same, compared with Envoy with a token cache',
        keys: ['full edge'],
        against: ['Envoy edge'],
        label: 'Envoy with a token cache',
      }),
    ],
    stop: async () => {
      for (const server of [transcoding, edge, envoy, uncached, proxy]) await server.stop()
    },
  }
}

function startEnvoy(
  name: string,
  environment: BenchEnvironment,
  configAt: (port: number) => string,
): Promise<ServerUnderTest> {
  return startServer(
    name,
    port => ({
      command: ENVOY_BINARY,
      args: [
        ...['--config-yaml', configAt(port)],
        ...['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
      ],
      env: environment.env,
    }),
    waitUntilResponding,
  )
}
