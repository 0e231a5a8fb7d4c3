/**
 * Private keys at rest: AES-256-GCM under SIGNING_KEY_SECRET. The kid is authenticated along, so that a row's key cannot
 * be put under another's name. Layout: 12 bytes of nonce, the ciphertext of the PKCS #8 DER, 16 bytes of tag.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'

const NONCE_LENGTH = 12
const TAG_LENGTH = 16

export interface SigningKeySeal {
  seal(kid: string, key: KeyObject): Buffer
  /** @throws Error when the secret is another one, or the row was changed. */
  open(kid: string, sealed: Buffer): KeyObject
}

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
        throw new Error(`SIGNING_KEY_SECRET does not open the stored signing key ${kid}`, { cause })
      }
    },
  }
}
