import { gunzip, gunzipSync } from 'node:zlib'
import { Code, StatusError } from '#runtime/status.ts'
import { answerTooLarge } from '../transport.ts'

/**
 * @param maxLength bytes at most, counted while inflating.
 * @throws StatusError RESOURCE_EXHAUSTED or INTERNAL
 */
export function inflate(message: Buffer, maxLength: number): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    gunzip(message, { maxOutputLength: maxLength }, (error, inflated) => {
      if (error === null) resolve(inflated)
      else if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        reject(answerTooLarge(maxLength, error))
      else reject(new StatusError(Code.INTERNAL, 'The answer is not valid gzip', { cause: error }))
    }),
  )
}

/** The same at once, of what is short. @throws Error when it is not gzip, or longer. */
export function inflateShort(message: Buffer): Buffer {
  return gunzipSync(message, { maxOutputLength: 1024 })
}
