/** `gatehouse proto`: writes the protos that a contract imports: the options of edge.v1 and of google.api. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Command, EXIT, parseArguments } from './command.ts'

/** The files, by their import path. */
export const PROTO_FILES = [
  'edge/v1/options.proto',
  'edge/v1/revocation.proto',
  'google/api/annotations.proto',
  'google/api/field_behavior.proto',
  'google/api/http.proto',
  'google/api/httpbody.proto',
]

/** In the package, all files are in `proto`. In the repository, those of Google come from their package. */
const ROOTS = ['../../proto/', '../../node_modules/google-proto-files/'].map(root => new URL(root, import.meta.url))

export const proto: Command = {
  name: 'proto',
  summary: 'Write the protos of edge/v1 and google/api, for buf and protoc',
  help: `Usage: gatehouse proto [--force] DIR

Writes the protos that a contract may import into DIR:
${PROTO_FILES.map(file => `  ${file}`).join('\n')}
DIR is then a module of buf.yaml, or an argument of protoc: -I DIR.

Options:
  --force             Replace files that have another content.

Exit codes: 0 ok, 1 a file exists with another content, 2 usage.`,
  async run(args, { folder, print, printError }) {
    const { values, positionals } = parseArguments(args, { force: { type: 'boolean' } } as const, ['DIR'])
    const [directory = ''] = positionals
    let hasConflict = false
    for (const name of PROTO_FILES) {
      const file = path.resolve(folder, directory, name)
      const text = readProto(name)
      const isSame = existsSync(file) && readFileSync(file, 'utf8') === text
      const conflicts = existsSync(file) && !isSame && values.force !== true
      if (conflicts) printError(`${file} exists with another content; --force replaces it`)
      hasConflict ||= conflicts
      if (isSame || conflicts) continue
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, text)
      print(file)
    }
    return hasConflict ? EXIT.findings : EXIT.ok
  },
}

/** Returns the text of a file by its import path. */
export function readProto(name: string): string {
  const found = ROOTS.map(root => new URL(name, root)).find(existsSync)
  if (found === undefined) throw new Error(`the installation has no ${name}`)
  return readFileSync(found, 'utf8')
}
