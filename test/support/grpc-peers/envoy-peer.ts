import { createInterface } from 'node:readline'
import { execa } from 'execa'
import getPort from 'get-port'
import { ENVOY_BINARY, prepareEnvoy } from '../envoy.ts'
import type { Peer, PeerKind } from './peer.ts'

/** Envoy as a proxy in front of another server. */
export function envoyInFrontOf(backend: PeerKind): PeerKind {
  return {
    name: `Envoy in front of ${backend.name}`,
    prepare: prepareEnvoy,
    async start(options = {}) {
      const upstream = await backend.start()
      const port = options.port ?? (await getPort())
      const envoy = await startEnvoy(port, upstream.port)
      return {
        address: `127.0.0.1:${port}`,
        port,
        setServing: upstream.setServing,
        release: upstream.release,
        async stop() {
          await envoy.stop()
          await upstream.stop()
        },
        async kill() {
          await envoy.stop()
          await upstream.kill()
        },
      }
    },
  }
}

async function startEnvoy(port: number, backend: number): Promise<Pick<Peer, 'stop'>> {
  const args = ['--config-yaml', JSON.stringify(config(port, backend)), '--concurrency', '1', '--disable-hot-restart']
  const child = execa(ENVOY_BINARY, args, { stdin: 'ignore', stdout: 'ignore', buffer: false, reject: false })
  const lines = createInterface({ input: child.stderr })
  const output: string[] = []
  const started = new Promise<void>(resolve => {
    lines.on('line', line => {
      output.push(line)
      if (line.includes('starting main dispatch loop')) resolve()
    })
  })
  const exited = child.then(() => {
    throw new Error(`Envoy did not start: ${output.slice(-5).join('\n')}`)
  })
  await Promise.race([started, exited])
  exited.catch(() => {})
  return {
    async stop() {
      child.kill('SIGTERM')
      await child
    },
  }
}

function config(port: number, backend: number): object {
  const http2 = (name: string) => ({
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      [name]: { http2_protocol_options: {} },
    },
  })
  return {
    static_resources: {
      listeners: [
        {
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [{ filters: [connectionManager()] }],
        },
      ],
      clusters: [
        {
          name: 'backend',
          connect_timeout: '1s',
          typed_extension_protocol_options: http2('explicit_http_config'),
          load_assignment: {
            cluster_name: 'backend',
            endpoints: [
              {
                lb_endpoints: [
                  { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: backend } } } },
                ],
              },
            ],
          },
        },
      ],
    },
  }
}

function connectionManager(): object {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      stat_prefix: 'peer',
      codec_type: 'HTTP2',
      route_config: {
        virtual_hosts: [
          {
            name: 'all',
            domains: ['*'],
            routes: [{ match: { prefix: '/' }, route: { cluster: 'backend', timeout: '0s' } }],
          },
        ],
      },
      http_filters: [
        {
          name: 'envoy.filters.http.router',
          typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
        },
      ],
    },
  }
}
