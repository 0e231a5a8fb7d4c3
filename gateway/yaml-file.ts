/** Reads YAML files of an operator, with the line of each entry for error messages. */
import { readFileSync } from 'node:fs'
import { isNode, Lexer, LineCounter, parseDocument } from 'yaml'
import { SettingsError } from '#runtime/process/env.ts'

/** The content of a YAML file. */
export interface YamlFile {
  readonly file: string
  readonly value: unknown
  /** Returns `FILE:LINE` of an entry, or of the closest entry above it that exists. */
  position(path: readonly PropertyKey[]): string
}

/** `${NAME}` or `${NAME:-default}`, the variable syntax of Compose files. */
const VARIABLE = /\$\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}/g

/**
 * Reads a file. Relative paths in it are not resolved.
 * @param env values of the variables in the file. An unset or empty variable has its default value.
 * @param cure what an operator should check if the file cannot be read.
 * @throws SettingsError with the path and the line, if the file cannot be read, is not YAML, or has a variable without value.
 */
export function readYamlFile(file: string, env: NodeJS.ProcessEnv, cure: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(replaceVariables(file, readText(file, cure), env), { lineCounter: lines })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0])
    const [message = ''] = error.message.split(/ at line \d+/, 1)
    throw new SettingsError(`${file}:${line}:${col} is not valid YAML: ${message}`, { cause: error })
  }
  const value = toValue(() => document.toJS())
  return {
    file,
    value,
    position(path) {
      for (let length = path.length; length > 0; length--) {
        const node = document.getIn(path.slice(0, length), true)
        if (isNode(node) && node.range) return `${file}:${lines.linePos(node.range[0]).line}`
      }
      return `${file}:1`
    },
  }

  function toValue(convert: () => unknown): unknown {
    try {
      return convert()
    } catch (cause) {
      // An alias without its anchor, or too many of them.
      throw new SettingsError(`${file} is not valid YAML: ${(cause as Error).message}`, { cause })
    }
  }
}

function readText(file: string, cure: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new SettingsError(`cannot read ${file}: ${(cause as Error).message}. ${cure}`, { cause })
  }
}

/** Replaces the variables outside of comments. */
function replaceVariables(file: string, text: string, env: NodeJS.ProcessEnv): string {
  const unset: string[] = []
  const replaced = splitComments(text).map(({ part, isComment }) => {
    if (isComment) return part
    return part.replace(VARIABLE, (_, name: string, fallback?: string) => {
      const value = env[name] || fallback
      if (value === undefined) unset.push(name)
      return value ?? ''
    })
  })
  if (unset.length === 0) return replaced.join('')
  throw new SettingsError(`${file} requires these variables, which are not set: ${unset.join(', ')}`)
}

/** The lexer reads the text before the replacement, in which a variable may be several tokens. */
function splitComments(text: string): { part: string; isComment: boolean }[] {
  const parts: { part: string; isComment: boolean }[] = []
  for (const token of new Lexer().lex(text)) {
    // Control tokens of the lexer, which are not in the text.
    if (CONTROL_TOKENS.includes(token)) continue
    const isComment = token.startsWith('#')
    const last = parts.at(-1)
    if (last?.isComment === isComment) last.part += token
    else parts.push({ part: token, isComment })
  }
  return parts
}

/** Start of a document, of a flow error, and of a scalar (node_modules/yaml/dist/parse/cst.js). */
const CONTROL_TOKENS = ['\u0002', '\u0018', '\u001f']
