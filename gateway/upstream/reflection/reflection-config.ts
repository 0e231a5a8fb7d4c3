/** Settings of an upstream in `gateway.yaml` whose contract is read by gRPC server reflection. */
import { z } from 'zod'

/** The value of `contract` that selects reflection instead of a file. */
export const REFLECTION = 'reflection'

const MIB = 2 ** 20

export const reflectionSchema = z
  .strictObject({
    intervalMs: z
      .int()
      .min(1000)
      .max(24 * 60 * 60 * 1000)
      .optional()
      .describe(
        'Time between two reads of the contract in milliseconds, at least 1000. Default: it is read again only when the connection to the upstream was lost and comes back.',
      ),
    timeoutMs: z.int().positive().default(5000).describe('Maximum duration of a read in milliseconds.'),
    maxFiles: z.int().positive().default(2000).describe('Maximum number of files of the contract.'),
    maxBytes: z
      .int()
      .positive()
      .default(16 * MIB)
      .describe('Maximum size of all files of the contract, in bytes.'),
  })
  .describe('With `contract: reflection`: when the contract is read, and what it may take.')

export type ReflectionSettings = z.output<typeof reflectionSchema>
