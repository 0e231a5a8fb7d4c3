/**
 * Rotation of the keys that sign tokens. A key passes three stages, which depend only on its activation time:
 *
 * - published ahead: in the key set for `publishAheadMs`, longer than verifiers cache the key set, before it signs;
 * - active: signs for `periodMs`, until its successor is active;
 * - retiring: stays in the key set until the last token that it signed has expired, and is then deleted.
 *
 * Processes therefore agree on the active key without communicating. One of them, holding an advisory lock, creates and
 * deletes keys.
 */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Kysely } from 'kysely'
import { type Jwk, type KeySource, toVerificationKey, type VerificationKey } from '#runtime/auth/key-set.ts'
import type { Tables } from '../tables.ts'
import { createSigningKeyRepository, type SigningKeyRepository, withRotationLock } from './signing-key-repository.ts'
import type { SigningKeySeal } from './signing-key-seal.ts'

/** Public part of a signing key, as published in the key set: an Ed25519 JWK (RFC 8037). */
export type PublishedKey = Required<Pick<Jwk, 'kty' | 'crv' | 'x' | 'kid'>>

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
}

/** The loaded keys. As a `KeySource` they verify the tokens that auth-svc has signed. */
export interface SigningKeys extends KeySource {
  /** @param time in milliseconds since the Unix epoch. */
  activeAt(time: number): SigningKey
  /** Published ahead, active and retiring. */
  readonly jwks: readonly PublishedKey[]
  /**
   * Creates and deletes the keys that are due, unless another process is doing so, and reloads the keys.
   * @throws Error if PostgreSQL is unavailable, or a stored key cannot be decrypted. The loaded keys stay in use.
   */
  rotate(): Promise<void>
}

export interface SigningKeysOptions {
  db: Kysely<Tables>
  seal: SigningKeySeal
  /** In milliseconds. */
  periodMs: number
  /** In milliseconds; see above. */
  publishAheadMs: number
  /** Lifetime of an access token, in milliseconds: how long a retiring key stays published. */
  tokenTtlMs: number
}

interface LoadedKey extends SigningKey {
  readonly activatesAt: number
  readonly jwk: PublishedKey
  readonly verificationKey: VerificationKey
}

/** Maximum difference between our clock and a verifier's. */
const CLOCK_SKEW_MS = 60_000

/** Creates the first key if there is none. @throws Error if PostgreSQL is unavailable, or a key cannot be decrypted. */
export async function openSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const { db, seal, periodMs, publishAheadMs, tokenTtlMs } = options
  let loaded: readonly LoadedKey[] = []

  async function load(): Promise<void> {
    const loadedByKid = new Map(loaded.map(key => [key.kid, key]))
    const rows = await createSigningKeyRepository(db).list()
    loaded = rows.map(({ kid, public_key: x, private_key: sealed, activates_at: activatesAt }) => {
      const jwk: PublishedKey = { kty: 'OKP', crv: 'Ed25519', x, kid }
      const { privateKey, verificationKey } = loadedByKid.get(kid) ?? {
        privateKey: seal.open(kid, sealed),
        verificationKey: toVerificationKey(jwk),
      }
      return { kid, privateKey, activatesAt: activatesAt.getTime(), jwk, verificationKey }
    })
  }

  async function createKey(keys: SigningKeyRepository, activatesAt: Date): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const { kid, x } = toJwk(publicKey)
    await keys.insert({ kid, public_key: x, private_key: seal.seal(kid, privateKey), activates_at: activatesAt })
  }

  /** Applies the schedule. A key that is overdue, because no process was running, is also published before it signs. */
  async function applySchedule(keys: SigningKeyRepository): Promise<void> {
    const now = (await keys.now()).getTime()
    const rows = await keys.list()
    const newest = rows.at(-1)
    if (newest === undefined) await createKey(keys, new Date(now))
    else if (newest.activates_at.getTime() + periodMs <= now + publishAheadMs) {
      await createKey(keys, new Date(Math.max(now + publishAheadMs, newest.activates_at.getTime() + periodMs)))
    }
    for (const [index, { kid }] of rows.entries()) {
      const successor = rows[index + 1]
      if (successor !== undefined && successor.activates_at.getTime() + tokenTtlMs + CLOCK_SKEW_MS < now) {
        await keys.delete(kid)
      }
    }
  }

  const current = (kid: string) => loaded.find(key => key.kid === kid)?.verificationKey

  async function rotate({ wait }: { wait: boolean }): Promise<void> {
    await withRotationLock(db, { wait }, applySchedule)
    await load()
  }

  await rotate({ wait: true })
  return {
    activeAt(time) {
      const key = loaded.findLast(({ activatesAt }) => activatesAt <= time) ?? loaded[0]
      if (key === undefined) throw new Error('There is no signing key')
      return key
    },
    get jwks() {
      return loaded.map(({ jwk }) => jwk)
    },
    current,
    find: async kid => current(kid),
    rotate: () => rotate({ wait: false }),
  }
}

/** The `kid` is the thumbprint of the key (RFC 7638, RFC 8037 appendix A.3). */
function toJwk(publicKey: KeyObject): { kid: string; x: string } {
  const { crv, kty, x } = publicKey.export({ format: 'jwk' })
  if (x === undefined) throw new Error('The Ed25519 key has no parameter x')
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
  return { kid, x }
}
