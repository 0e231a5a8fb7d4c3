/**
 * Real gRPC servers for the transports' tests. Each has the service peers.v1.Peer, over bytes:
 *
 *   Echo        answers the request
 *   Fail        fails with metadata `x-code`, the request as its message, and the details of `x-details-bin`
 *   Large       answers as many bytes as the request says in decimal, each its offset modulo 256
 *   Compressed  the same, gzipped, where the server can
 *   Metadata    answers what it received, as JSON, with the time left as `deadline-ms`
 *   Sleep       never answers
 *   Pause       answers the request after as many milliseconds as it says
 *   Cancelled   answers how many calls of Sleep have been cancelled
 *
 * and grpc.health.v1.Health.
 */
import path from 'node:path'

export interface Peer {
  readonly address: string
  readonly port: number
  /** What the health service says of the whole server from now on. */
  setServing(serving: boolean): void
  /** Finishes the calls under way. */
  stop(): Promise<void>
  kill(): Promise<void>
}

export interface PeerOptions {
  /** 0, the default: a free one. */
  port?: number
  /** Mutual TLS. */
  certificates?: Certificates
  /** Streams at a time on one connection. */
  maxStreams?: number
}

/** PEM. */
export interface Certificates {
  ca: string
  cert: string
  key: string
}

export interface PeerKind {
  readonly name: string
  /** @returns why it cannot be had on this machine, if so. Builds or installs it first. */
  prepare(): Promise<string | undefined>
  start(options?: PeerOptions): Promise<Peer>
}

export const PEER_METHODS = ['Echo', 'Fail', 'Large', 'Compressed', 'Metadata', 'Sleep', 'Pause', 'Cancelled'] as const

export function peerMethod(name: (typeof PEER_METHODS)[number]): string {
  return `/peers.v1.Peer/${name}`
}

/** Where what is built and installed for the tests is kept. */
export const PEERS_DIRECTORY = path.resolve(import.meta.dirname, '../../../.data/peers')
