/** Reads the documentation the way a reader uses it: its shell commands in order, and the files that it shows. */
import { readFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '../..')

interface CodeBlock {
  readonly language: string
  /** Path to save the block under; undefined if it is not a file. */
  readonly file: string | undefined
  readonly code: string
}

/**
 * Returns the fenced code blocks of a page, in order. A fence names the language and, for a file, its path:
 * ```` ```js node/shop.mjs ````.
 * @param page path from the root of the repository.
 * @param heading restricts the result to the section with this heading, of level 2 or 3, with its subsections.
 */
function codeBlocksOf(page: string, heading?: string): CodeBlock[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8')
  const [found, level = ''] = new RegExp(`\n(##|###) ${heading}\n`).exec(text) ?? []
  if (heading !== undefined && found === undefined) throw new Error(`${page} has no section "${heading}"`)
  const start = found === undefined ? 0 : text.indexOf(found)
  const end = found === undefined ? -1 : text.slice(start + 1).search(new RegExp(`\n#{2,${level.length}} `))
  const section = text.slice(start, end === -1 ? undefined : start + 1 + end)
  return [...section.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language = '', file, code = '']) => ({
    language,
    file,
    code,
  }))
}

/** Returns the `sh` blocks of a page or section. */
export function commandsOf(page: string, heading?: string): string[] {
  return codeBlocksOf(page, heading)
    .filter(({ language }) => language === 'sh')
    .map(({ code }) => code)
}

/** Returns a command of the shell for each block: those of `sh` as they are, and one that writes each file. */
export function stepsOf(page: string, heading: string): string[] {
  return codeBlocksOf(page, heading).map(({ language, file, code }) => {
    if (file !== undefined) return `mkdir -p "$(dirname ${file})"; cat >${file} <<'END_OF_FILE'\n${code}END_OF_FILE\n`
    if (language !== 'sh') throw new Error(`${page}, ${heading}: a block is neither a file nor commands:\n${code}`)
    return code
  })
}
