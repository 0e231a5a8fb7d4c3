/** Reads the documentation the way a reader uses it: its shell commands in order, and the files that it shows. */
import { readFileSync } from 'node:fs'
import path from 'node:path'

const ROOT = path.resolve(import.meta.dirname, '../..')

export interface CodeBlock {
  readonly language: string
  /** Path to save the block under; undefined if it is not a file. */
  readonly file: string | undefined
  readonly code: string
}

/**
 * Returns the fenced code blocks of a page, in order. A fence names the language and, for a file, its path:
 * ```` ```js hello/a.mjs ````.
 * @param page path from the root of the repository.
 * @param heading restricts the result to the section with this heading.
 */
export function codeBlocksOf(page: string, heading?: string): CodeBlock[] {
  const text = readFileSync(path.join(ROOT, page), 'utf8')
  const start = heading === undefined ? 0 : text.indexOf(`\n## ${heading}\n`)
  if (start === -1) throw new Error(`${page} has no section "${heading}"`)
  const end = heading === undefined ? -1 : text.indexOf('\n## ', start + 1)
  const section = text.slice(start, end === -1 ? undefined : end)
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
