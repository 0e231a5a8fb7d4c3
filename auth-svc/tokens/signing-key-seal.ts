/**
 * Encryption of stored private keys: AES-256-GCM with SIGNING_KEY_SECRET. The `kid` is additional authenticated data,
 * so that a stored key cannot be moved to another row. Format: 12 bytes nonce, ciphertext of the PKCS #8 DER, 16 bytes
 * tag.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'

const NONCE_LENGTH = 12
const TAG_LENGTH = 16

/** Encrypts (seals) and decrypts (opens) private keys. */
export interface SigningKeySeal {
  seal(kid: string, key: KeyObject): Buffer
  /** @throws Error if the key was sealed with another secret or `kid`, or was modified. */
  open(kid: string, sealed: Buffer): KeyObject
}

/** @param secret the 32 bytes of SIGNING_KEY_SECRET. */
export function createSigningKeySeal(secret: Uint8Array): SigningKeySeal {
  return {
    seal(kid, key) {
      const nonce = randomBytes(NONCE_LENGTH)
      const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(Buffer.from(kid))
      const der = key.export({ format: 'der', type: 'pkcs8' })
      return Buffer.concat([nonce, cipher.update(der), cipher.final(), cipher.getAuthTag()])
    },
    open(kid, sealed) {
      const nonce = sealed.subarray(0, NONCE_LENGTH)
      const decipher = createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: TAG_LENGTH })
      decipher.setAAD(Buffer.from(kid)).setAuthTag(sealed.subarray(-TAG_LENGTH))
      try {
        const der = Buffer.concat([decipher.update(sealed.subarray(NONCE_LENGTH, -TAG_LENGTH)), decipher.final()])
        return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
      } catch (cause) {
        throw new Error(`SIGNING_KEY_SECRET cannot decrypt the stored signing key ${kid}`, { cause })
      }
    },
  }
}
