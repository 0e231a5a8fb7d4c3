/**
 * Real gRPC servers for the tests of the transports. Each implements grpc.health.v1.Health and the service peers.v1.Peer,
 * whose messages are plain bytes:
 *
 *   Echo        responds with the request
 *   Fail        fails with the code in metadata `x-code`, the request as message and the details in `x-details-bin`
 *   Large       responds with as many bytes as the request says in decimal, each its offset modulo 256
 *   Compressed  as Large, compressed with gzip if the server supports it
 *   Metadata    responds with the received metadata as JSON, and with the time left as `deadline-ms`
 *   Hold        responds with the request after `Peer.release`
 *   Waiting     responds with the number of calls of Hold in progress
 *   Cancelled   responds with the number of calls of Hold that were cancelled
 */
import path from 'node:path'

export interface Peer {
  readonly address: string
  readonly port: number
  /** Sets the health of the server as a whole to SERVING or NOT_SERVING. */
  setServing(serving: boolean): void
  /** Ends the calls of Hold in progress: they respond with their request. */
  release(): void
  /** Stops gracefully: calls in flight finish. */
  stop(): Promise<void>
  /** Stops at once. */
  kill(): Promise<void>
}

export interface PeerOptions {
  /** Default 0: a free port. */
  port?: number
  /** Enables mutual TLS. Default: plain text. */
  certificates?: Certificates
  /** SETTINGS_MAX_CONCURRENT_STREAMS. Default: that of the server. */
  maxStreams?: number
}

/** PEM. */
export interface Certificates {
  ca: string
  cert: string
  key: string
}

/** An implementation of the servers. */
export interface PeerKind {
  readonly name: string
  /** Builds or installs the server. @returns why it is not available on this machine, or undefined. */
  prepare(): Promise<string | undefined>
  start(options?: PeerOptions): Promise<Peer>
}

export const PEER_METHODS = ['Echo', 'Fail', 'Large', 'Compressed', 'Metadata', 'Hold', 'Waiting', 'Cancelled'] as const

export type PeerMethod = (typeof PEER_METHODS)[number]

/** @returns the path of a method on the wire. */
export function peerMethod(name: PeerMethod): string {
  return `/peers.v1.Peer/${name}`
}

/** Folder for the servers that tests build or install. */
export const PEERS_DIRECTORY = path.resolve(import.meta.dirname, '../../../.data/peers')
