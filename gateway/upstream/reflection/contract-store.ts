/** Keeps the last contract in use of each upstream in a folder, as an image that `contract` can also name. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import path from 'node:path'
import type { Logger } from '#runtime/observability/logger.ts'

export interface ContractStore {
  /** Returns the contract of an upstream; undefined if there is none. */
  load(upstream: string): Uint8Array | undefined
  /** Replaces it atomically. A failure is logged. */
  save(upstream: string, image: Uint8Array): Promise<void>
  /** Path of the file of an upstream; undefined if nothing is kept. */
  pathOf(upstream: string): string | undefined
}

/** @param folder created with the first contract. Undefined: nothing is kept. */
export function createContractStore(folder: string | undefined, logger: Pick<Logger, 'warn'>): ContractStore {
  // The names of upstreams are lower-case letters, digits and dashes.
  const pathOf = (upstream: string) => folder && path.join(folder, `${upstream}.binpb`)
  return {
    pathOf,
    load(upstream) {
      const file = pathOf(upstream)
      if (file === undefined) return undefined
      try {
        return readFileSync(file)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
          logger.warn({ upstream, file, err: error }, 'kept contract not readable; continuing without it')
        }
        return undefined
      }
    },
    async save(upstream, image) {
      const file = pathOf(upstream)
      if (file === undefined) return
      try {
        await replaceFile(file, image)
      } catch (error) {
        logger.warn({ upstream, file, err: error }, 'contract not kept; check GATEWAY_CONTRACT_DIR')
      }
    },
  }
}

/** Writes beside the file and renames. Several processes may do so at once. */
async function replaceFile(file: string, content: Uint8Array): Promise<void> {
  // The file has the policies of a trusted upstream, so only the owner has permission to write it.
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
  const temporary = `${file}.${randomUUID()}`
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
