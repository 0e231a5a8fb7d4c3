import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { execa } from 'execa'
import type { Certificates } from './peer.ts'

/** Certificates of one new authority. */
export interface IssuedCertificates {
  /** Certificate of a server named `localhost`. */
  server: Certificates
  client: Certificates
}

/** Creates a certificate authority and issues a server and a client certificate, with the command openssl. */
export async function issueCertificates(): Promise<IssuedCertificates> {
  const folder = await mkdtemp(path.join(tmpdir(), 'gatehouse-certificates-'))
  const openssl = (...args: string[]) => execa('openssl', args, { cwd: folder })
  const newKey = (name: string) => openssl('ecparam', '-genkey', '-name', 'prime256v1', '-out', `${name}.key`)
  try {
    await newKey('ca')
    await openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      'ca.key',
      '-subj',
      '/CN=Gatehouse tests',
      '-days',
      '2',
      '-out',
      'ca.pem',
    )
    await writeFile(path.join(folder, 'names'), 'subjectAltName=DNS:localhost')
    for (const name of ['server', 'client']) {
      await newKey(name)
      await openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`)
      const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names']
      await openssl('x509', '-req', '-in', `${name}.csr`, ...signing, '-out', `${name}.pem`)
    }
    const read = (name: string) => readFile(path.join(folder, name), 'utf8')
    const ca = await read('ca.pem')
    return {
      server: { ca, cert: await read('server.pem'), key: await read('server.key') },
      client: { ca, cert: await read('client.pem'), key: await read('client.key') },
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
