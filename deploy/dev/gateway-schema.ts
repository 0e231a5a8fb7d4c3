/**
 * The JSON Schema of gateway.yaml, for editors: `node deploy/dev/gateway-schema.ts` writes it, and a test compares it with
 * the code.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gatewayFileSchema } from '../../gateway/gateway-file.ts'

export const SCHEMA_FILE = fileURLToPath(new URL('../../gateway/gateway.schema.json', import.meta.url))

if (import.meta.main) writeFileSync(SCHEMA_FILE, `${JSON.stringify(gatewayFileSchema(), null, 2)}\n`)
