/** TLS towards an upstream, from files that `gateway.yaml` names. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'

/** `tls: {}` trusts the authorities that Node comes with, and shows no certificate. Paths are from the file's folder. */
export const tlsSchema = z
  .strictObject({
    /** PEM of the authorities whose servers are trusted. */
    ca: z.string().min(1).optional(),
    /** PEM of the certificate that the gateway shows, and of its key: mutual TLS. */
    cert: z.string().min(1).optional(),
    key: z.string().min(1).optional(),
    /** The name that the server's certificate must have; the address's host unless given. */
    serverName: z.string().min(1).optional(),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'takes cert and key together')

export type TlsFiles = z.output<typeof tlsSchema>

/** PEM. With `cert` and `key` the connection is mutual TLS. */
export interface TlsCredentials {
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
  readonly serverName?: string | undefined
}

/** @param setting where the files stand, for errors. @throws SettingsError for what cannot be read or does not fit. */
export function readTlsCredentials({ ca, cert, key, serverName }: TlsFiles, setting: string): TlsCredentials {
  const credentials = {
    ca: ca === undefined ? undefined : readPem(ca, `${setting}.ca`, pem => new X509Certificate(pem)),
    cert: cert === undefined ? undefined : readPem(cert, `${setting}.cert`, pem => new X509Certificate(pem)),
    key: key === undefined ? undefined : readPem(key, `${setting}.key`, createPrivateKey),
    serverName,
  }
  if (credentials.cert && credentials.key) {
    const fits = new X509Certificate(credentials.cert).checkPrivateKey(createPrivateKey(credentials.key))
    if (!fits) throw new SettingsError(`${setting}.key: ${key} is not the key of ${cert}`)
  }
  return credentials
}

/** An operator learns of a wrong file at boot, not from each call. */
function readPem(file: string, setting: string, check: (pem: Buffer) => unknown): Buffer {
  try {
    const pem = readFileSync(file)
    check(pem)
    return pem
  } catch (cause) {
    throw new SettingsError(`${setting}: ${file} cannot be used: ${(cause as Error).message}`, { cause })
  }
}

export function resolveTlsFiles({ ca, cert, key, serverName }: TlsFiles, folder: string): TlsFiles {
  const resolve = (file: string | undefined) => file && path.resolve(folder, file)
  return { ca: resolve(ca), cert: resolve(cert), key: resolve(key), serverName }
}
