/**
 * Writes the `gateway.yaml` of a measured gateway: the shipped file with other upstreams, and with rate limits that no
 * load reaches.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parse, stringify } from 'yaml'
import { SERVICE } from './contract.ts'
import { BENCH_DIRECTORY } from './directory.ts'

const SHIPPED = path.resolve(import.meta.dirname, '../../gateway/gateway.yaml')

/** Every request is charged to a bucket with this capacity and refill, which no load empties. */
const UNREACHABLE_LIMIT = { capacity: 1_000_000, refill: '1000000 / 1s' }

interface GatewayFile {
  upstreams: { contract: string }[]
  limits?: { classes: Record<string, unknown> }
}

/**
 * Writes the file for the backend of the bench. Anonymous requests are not limited, so that the public method measures
 * transcoding only.
 * @param name name of the file without extension.
 * @returns the path of the file.
 */
export function writeBenchGatewayFile(name: string, backendAddress: string, image: string): string {
  const file = readShipped()
  const upstream = { name: 'bench', address: backendAddress, contract: image, services: [SERVICE], transport: 'http2' }
  if (file.limits !== undefined) Object.assign(file.limits.classes, { anonymous: 'unlimited' })
  return write(name, { ...file, upstreams: [upstream] })
}

/** Writes the file for the real services. @returns the path of the file. */
export function writeSystemGatewayFile(name: string): string {
  const file = readShipped()
  const upstreams = file.upstreams.map(upstream => ({
    ...upstream,
    contract: path.resolve(path.dirname(SHIPPED), upstream.contract),
  }))
  return write(name, { ...file, upstreams })
}

function readShipped(): GatewayFile {
  const file: GatewayFile = parse(readFileSync(SHIPPED, 'utf8'))
  if (file.limits === undefined) return file
  const classes = Object.fromEntries(Object.keys(file.limits.classes).map(name => [name, UNREACHABLE_LIMIT]))
  return { ...file, limits: { ...file.limits, classes } }
}

function write(name: string, file: object): string {
  const written = path.join(BENCH_DIRECTORY, `${name}.yaml`)
  writeFileSync(written, stringify(file))
  return written
}
