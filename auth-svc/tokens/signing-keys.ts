/**
 * The keys that tokens are signed with. A key is published before it signs, for longer than any verifier keeps the key
 * set; it signs until its successor does; it stays published until the last token that it signed has expired. All three
 * are a matter of time alone, so that processes agree without talking; making the next key and removing the last is
 * done by one of them.
 */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Kysely } from 'kysely'
import { type Jwk, type KeySource, toVerificationKey, type VerificationKey } from '#runtime/auth/key-set.ts'
import type { Tables } from '../tables.ts'
import { asKeyLeader, createSigningKeyRepository, type SigningKeyRepository } from './signing-key-repository.ts'
import type { SigningKeySeal } from './signing-key-seal.ts'

export type PublishedKey = Required<Pick<Jwk, 'kty' | 'crv' | 'x' | 'kid'>>

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
}

/** A key source for verifying what these keys have signed. */
export interface SigningKeys extends KeySource {
  /** The key that signs at the given time, in milliseconds since the epoch. */
  activeAt(time: number): SigningKey
  /** Every key that is published: the next, the active and the retiring. */
  readonly jwks: readonly PublishedKey[]
  /** Makes and removes keys as the time has come, unless another process is at it, and learns of all that there are. */
  rotate(): Promise<void>
}

export interface SigningKeysOptions {
  db: Kysely<Tables>
  seal: SigningKeySeal
  /** How long a key signs, how long before that it is published, and how long its tokens live. All in milliseconds. */
  periodMs: number
  leadMs: number
  tokenTtlMs: number
}

interface LoadedKey extends SigningKey {
  readonly activatesAt: number
  readonly jwk: PublishedKey
  readonly verificationKey: VerificationKey
}

/** Verifiers' clocks may be behind by that much. */
const CLOCK_SKEW_MS = 60_000

/** Resolves when there is a key to sign with. */
export async function openSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const { db, seal, periodMs, leadMs, tokenTtlMs } = options
  let loaded: readonly LoadedKey[] = []

  async function load(): Promise<void> {
    const known = new Map(loaded.map(key => [key.kid, key]))
    const rows = await createSigningKeyRepository(db).list()
    loaded = rows.map(({ kid, public_key: x, private_key: sealed, activates_at: activatesAt }) => {
      const jwk: PublishedKey = { kty: 'OKP', crv: 'Ed25519', x, kid }
      const { privateKey, verificationKey } = known.get(kid) ?? {
        privateKey: seal.open(kid, sealed),
        verificationKey: toVerificationKey(jwk),
      }
      return { kid, privateKey, activatesAt: activatesAt.getTime(), jwk, verificationKey }
    })
  }

  async function makeKey(keys: SigningKeyRepository, activatesAt: Date): Promise<void> {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const { kid, x } = describe(publicKey)
    await keys.insert({ kid, public_key: x, private_key: seal.seal(kid, privateKey), activates_at: activatesAt })
  }

  /** Also after a long time without any process: the keys that are due then do not sign before they are published. */
  async function lead(keys: SigningKeyRepository): Promise<void> {
    const now = (await keys.now()).getTime()
    const rows = await keys.list()
    const newest = rows.at(-1)
    if (newest === undefined) await makeKey(keys, new Date(now))
    else if (newest.activates_at.getTime() + periodMs <= now + leadMs) {
      await makeKey(keys, new Date(Math.max(now + leadMs, newest.activates_at.getTime() + periodMs)))
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
    await asKeyLeader(db, { wait }, lead)
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

/** The kid is the key's thumbprint, RFC 7638 and RFC 8037 appendix A.3. */
function describe(publicKey: KeyObject): { kid: string; x: string } {
  const { crv, kty, x } = publicKey.export({ format: 'jwk' })
  if (x === undefined) throw new Error('An Ed25519 key without x')
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
  return { kid, x }
}
