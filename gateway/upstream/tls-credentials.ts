/** TLS settings of an upstream in `gateway.yaml`, and the files that they name. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'

/** The setting `tls` of an upstream. `{}` trusts the authorities of Node.js and presents no client certificate. */
export const tlsSchema = z
  .strictObject({
    ca: z
      .string()
      .min(1)
      .optional()
      .describe('PEM file of the trusted certificate authorities. Replaces the bundled ones.'),
    cert: z.string().min(1).optional().describe('PEM file of the client certificate, for mutual TLS. Requires `key`.'),
    key: z.string().min(1).optional().describe('PEM file of the private key of `cert`.'),
    serverName: z
      .string()
      .min(1)
      .optional()
      .describe('Name that the certificate of the server must have. Default: the host of the address.'),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'requires cert and key together')

export type TlsFiles = z.output<typeof tlsSchema>

/** Contents of the PEM files. With `cert` and `key`, connections use mutual TLS. */
export interface TlsCredentials {
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
  readonly serverName?: string | undefined
}

/** @throws SettingsError, naming `setting`, for an unreadable or invalid file or a key that does not match `cert`. */
export function readTlsCredentials({ ca, cert, key, serverName }: TlsFiles, setting: string): TlsCredentials {
  const credentials = {
    ca: ca === undefined ? undefined : readPem(ca, `${setting}.ca`, pem => new X509Certificate(pem)),
    cert: cert === undefined ? undefined : readPem(cert, `${setting}.cert`, pem => new X509Certificate(pem)),
    key: key === undefined ? undefined : readPem(key, `${setting}.key`, createPrivateKey),
    serverName,
  }
  if (credentials.cert && credentials.key) {
    const matches = new X509Certificate(credentials.cert).checkPrivateKey(createPrivateKey(credentials.key))
    if (!matches) throw new SettingsError(`${setting}.key: ${key} is not the private key of ${cert}`)
  }
  return credentials
}

/** Checks the file at boot, so that a wrong file does not fail each call. */
function readPem(file: string, setting: string, check: (pem: Buffer) => unknown): Buffer {
  try {
    const pem = readFileSync(file)
    check(pem)
    return pem
  } catch (cause) {
    throw new SettingsError(`${setting}: cannot read ${file}: ${(cause as Error).message}`, { cause })
  }
}

/** Resolves the paths relative to `folder`. */
export function resolveTlsFiles({ ca, cert, key, serverName }: TlsFiles, folder: string): TlsFiles {
  const resolve = (file: string | undefined) => file && path.resolve(folder, file)
  return { ca: resolve(ca), cert: resolve(cert), key: resolve(key), serverName }
}
