import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FileRegistry } from '@bufbuild/protobuf'
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js'
import { parseContract } from '#runtime/grpc/contract.ts'
import { protoSource } from './proto-source.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const buf = path.join(root, 'node_modules/.bin/buf')

// Files that a contract may import besides google.protobuf. They become a module of its buf workspace.
const IMPORTS = [
  'proto/edge',
  'node_modules/google-proto-files/google/api/annotations.proto',
  'node_modules/google-proto-files/google/api/field_behavior.proto',
  'node_modules/google-proto-files/google/api/http.proto',
  'node_modules/google-proto-files/google/api/httpbody.proto',
  'node_modules/google-proto-files/google/rpc/error_details.proto',
]

// That of google.cloud.compute.v1 has 5 MB.
const MAX_IMAGE_BYTES = 64 * 2 ** 20

// The package has the descriptors of the file, and not its text.
const validateProto = protoSource(file_buf_validate_validate)

/** Compiles `.proto` texts, by path, and returns their descriptors. @throws as `buildImage`. */
export function buildContract(files: Record<string, string>): FileRegistry {
  return parseContract(buildImage(files))
}

/**
 * Compiles `.proto` texts, by path, with buf.
 * @returns the FileDescriptorSet that the gateway loads.
 * @throws Error with the message of buf if a text does not compile.
 */
export function buildImage(files: Record<string, string>): Uint8Array {
  const folder = mkdtempSync(path.join(tmpdir(), 'contract-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(folder, 'own', name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    for (const source of IMPORTS) {
      const name = source.replace(/^(proto|node_modules\/google-proto-files)\//, '')
      cpSync(path.join(root, source), path.join(folder, 'imports', name), { recursive: true })
    }
    const validate = path.join(folder, 'imports/buf/validate/validate.proto')
    mkdirSync(path.dirname(validate), { recursive: true })
    writeFileSync(validate, validateProto)
    writeFileSync(path.join(folder, 'buf.yaml'), 'version: v2\nmodules: [{path: own}, {path: imports}]\n')
    return execFileSync(buf, ['build', '--as-file-descriptor-set', '-o', '-#format=binpb'], {
      cwd: folder,
      maxBuffer: MAX_IMAGE_BYTES,
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
