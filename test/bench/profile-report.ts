/** Summarizes a V8 CPU profile: self time by part of the gateway and by function. */
import path from 'node:path'
import { fileURLToPath } from 'node:url'

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  readonly children?: readonly number[]
}

/** The format of `--cpu-prof`. Times are in microseconds. */
export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface SelfTime {
  readonly label: string
  /** Share of the time that was not idle, from 0 to 1. */
  readonly fraction: number
}

/** Parts by the URL of a function. The first match applies; modules of Node come last (see `partsByNode`). */
const PARTS: readonly (readonly [RegExp, string])[] = [
  [/gateway\/upstream\/(?!calls)/, 'transport'],
  [/@grpc\/|node:(internal\/)?http2/, 'transport: grpc-js'],
  [/gateway\/transcoding\/(binding|compiled|reference)|@bufbuild|runtime\/grpc\/rules|gateway\/contract/, 'codec'],
  [/fast-jwt|@fastify\/jwt|edge\/(authentication|token|revocation)|runtime\/auth/, 'token and revocation'],
  [/edge\/limits|@fastify\/rate-limit/, 'rate limit'],
  [/ioredis|redis-parser|runtime\/process\/redis/, 'redis client'],
  [/pino|sonic-boom|observability\/logger|access-log/, 'log'],
  [/prom-client|metrics|labelled-series/, 'metrics'],
  [/opentelemetry|observability\/(telemetry|.*spans|trace-|random-ids)|request-trace/, 'trace'],
  [/\/gateway\//, 'other gateway code'],
  [/fastify|find-my-way|fast-|cookie|node:_?http|node:internal\/http/, 'http: fastify, node:http'],
  [/^node:(net|events|stream|_stream|internal\/stream)/, 'http and transport: sockets'],
]

const ROOT = path.resolve(import.meta.dirname, '../..')

/**
 * Sums up the samples of an interval.
 * @param from start of the interval, in microseconds of the clock of the profile.
 * @param to end of the interval.
 * @returns parts and functions, the largest first.
 */
export function selfTimes(profile: CpuProfile, from: number, to: number): Record<'parts' | 'functions', SelfTime[]> {
  const partsOf = partsByNode(profile.nodes)
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const byPart = new Map<string, number>()
  const byFunction = new Map<string, number>()
  let busy = 0
  let time = profile.startTime
  profile.samples.forEach((id, at) => {
    // `timeDeltas[at]` is the time before the sample; the sampled function runs until the next sample.
    time += profile.timeDeltas[at] ?? 0
    const duration = profile.timeDeltas[at + 1] ?? 0
    const frame = frames.get(id)
    if (frame === undefined || time < from || time > to || frame.functionName === '(idle)') return
    busy += duration
    const label = labelOf(frame)
    byFunction.set(label, (byFunction.get(label) ?? 0) + duration)
    const part = partsOf.get(id) ?? 'other'
    byPart.set(part, (byPart.get(part) ?? 0) + duration)
  })
  const ranked = (times: Map<string, number>) =>
    [...times].map(([label, spent]) => ({ label, fraction: spent / busy })).sort((a, b) => b.fraction - a.fraction)
  return { parts: ranked(byPart), functions: ranked(byFunction) }
}

/**
 * Assigns each node to a part. Functions of Node and V8 count for the nearest caller outside of them, so a socket write
 * belongs to the transport or to Fastify. Without such a caller, as in the HTTP parser, the module of Node decides.
 */
function partsByNode(nodes: readonly ProfileNode[]): Map<number, string> {
  const byId = new Map(nodes.map(node => [node.id, node]))
  const parts = new Map<number, string>()
  const visit = (node: ProfileNode, caller: string | undefined): void => {
    const { url, functionName } = node.callFrame
    const part = PARTS.find(([pattern]) => pattern.test(url))?.[1]
    const isForeign = url === '' || url.startsWith('node:')
    const own = isForeign ? caller : (part ?? 'other')
    const counted =
      functionName.startsWith('(') && url === '' ? functionName.slice(1, -1) : (own ?? part ?? 'other Node code')
    parts.set(node.id, counted === 'program' ? 'native: system calls, V8' : counted)
    for (const id of node.children ?? []) visit(byId.get(id) as ProfileNode, own)
  }
  const [root] = nodes
  if (root !== undefined) visit(root, undefined)
  return parts
}

function labelOf({ functionName, url, lineNumber }: ProfileNode['callFrame']): string {
  if (url === '') return functionName
  const file = url.startsWith('file:') ? path.relative(ROOT, fileURLToPath(url)) : url
  return `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`
}
