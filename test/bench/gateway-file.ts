/** The `gateway.yaml` of a measured gateway: ours, with other upstreams, and with limits that no load reaches. */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parse, stringify } from 'yaml'
import { SERVICE } from './contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'

const OURS = path.resolve(import.meta.dirname, '../../gateway/gateway.yaml')

/** A bucket that every request draws from, and that is never empty. */
const ROOMY = { capacity: 1_000_000, refill: '1000000 / 1s' }

interface GatewayFile {
  upstreams: { contract: string }[]
  limits?: { classes: Record<string, unknown> }
}

/** In front of the bench's backend. Who is not signed in has no limit there, so that the public method is transcoding only. */
export function writeBenchGatewayFile(name: string, backendAddress: string, image: string): string {
  const file = ours()
  const upstream = { name: 'bench', address: backendAddress, contract: image, services: [SERVICE], transport: 'http2' }
  if (file.limits !== undefined) Object.assign(file.limits.classes, { anonymous: 'unlimited' })
  return write(name, { ...file, upstreams: [upstream] })
}

/** In front of the real services. */
export function writeSystemGatewayFile(name: string): string {
  const file = ours()
  const upstreams = file.upstreams.map(upstream => ({
    ...upstream,
    contract: path.resolve(path.dirname(OURS), upstream.contract),
  }))
  return write(name, { ...file, upstreams })
}

function ours(): GatewayFile {
  const file: GatewayFile = parse(readFileSync(OURS, 'utf8'))
  if (file.limits === undefined) return file
  const classes = Object.fromEntries(Object.keys(file.limits.classes).map(name => [name, ROOMY]))
  return { ...file, limits: { ...file.limits, classes } }
}

function write(name: string, file: object): string {
  const written = path.join(BENCH_DIRECTORY, `${name}.yaml`)
  writeFileSync(written, stringify(file))
  return written
}
