/**
 * The table of settings in docs/configuration.md, generated from the `config.ts` files:
 * `node deploy/dev/settings-table.ts` writes it, and a test compares it with the code.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SettingsShape } from '#runtime/process/env.ts'
import { settingsSchema as auth } from '../../auth-svc/config.ts'
import { settingsSchema as gateway } from '../../gateway/config.ts'
import { settingsSchema as user } from '../../user-svc/config.ts'
import { devSettings, seedSettings } from './settings.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const PAGE = path.join(root, 'docs/configuration.md')
const BLOCK = /(<!-- settings -->\n)[\s\S]*(<!-- \/settings -->)/

interface Row {
  defaultValue: string
  processes: string[]
  description: string
}

/** Returns the settings of all processes as a Markdown table, sorted by name. */
export function settingsTable(): string {
  const rows = new Map<string, Row>()
  for (const [process, shape] of Object.entries<SettingsShape>({
    gateway,
    'auth-svc': auth,
    'user-svc': user,
    '`make up`': devSettings,
    '`make seed`': seedSettings,
  })) {
    for (const [name, schema] of Object.entries(shape)) {
      const row = rows.get(name) ?? {
        defaultValue: defaultOf(schema),
        processes: [],
        description: schema.description ?? '',
      }
      row.processes.push(process)
      rows.set(name, row)
    }
  }
  const lines = [...rows]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { defaultValue, processes, description }]) => {
      return `| \`${name}\` | ${defaultValue} | ${processes.join(', ')} | ${cell(description)} |`
    })
  return ['| setting | default | read by | description |', '| --- | --- | --- | --- |', ...lines, ''].join('\n')
}

function defaultOf(schema: SettingsShape[string]): string {
  const result = schema.safeParse(undefined)
  if (!result.success) return '**required**'
  const value = Array.isArray(result.data) ? result.data.join(',') : result.data
  if (value === undefined || value === '') return ''
  const text = String(value)
  return `\`${text.startsWith(root) ? path.relative(root, text) : text}\``
}

/** Formats a description as a table cell, without its final period. */
function cell(description: string): string {
  return description.replace(/\.$/, '').replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** Replaces the table between the `settings` markers of a Markdown page. */
export function withSettingsTable(text: string): string {
  return text.replace(BLOCK, (_, open: string, close: string) => `${open}${settingsTable()}${close}`)
}

if (import.meta.main) writeFileSync(PAGE, withSettingsTable(readFileSync(PAGE, 'utf8')))
