import type { ListenerOptions } from '../../../../gateway/http/listener/listener.ts'

/** Limits far above what a test uses. */
export const UNLIMITED = {
  limits: {
    maxConnections: 100_000,
    maxConnectionsPerAddress: 100_000,
    isExempt: () => false,
    maxUnreadBytes: 1_000_000_000,
    writeTimeoutMs: 60_000,
  },
} satisfies Partial<ListenerOptions>
