/** The acknowledgement file of `policy-diff`: the weakenings that are intended. */
import { z } from 'zod'
import { SettingsError } from '#runtime/process/env.ts'
import { readYamlFile } from '../yaml-file.ts'
import type { Change } from './policy-changes.ts'

const fileSchema = z.strictObject({
  acknowledged: z.array(
    z.strictObject({
      route: z.string(),
      change: z.string(),
      from: z.string(),
      to: z.string(),
      reason: z.string().min(1, 'must say why the change is intended'),
    }),
  ),
})

export interface Acknowledgements {
  /** Whether an entry names exactly this change. */
  has(change: Change): boolean
  /** Returns `FILE:LINE: ROUTE CHANGE` of each entry that names none of the changes. */
  stale(changes: readonly Change[]): string[]
}

/** @throws SettingsError with the line of each invalid entry. */
export function readAcknowledgements(file: string): Acknowledgements {
  const yaml = readYamlFile(file, {}, 'Check --acknowledge')
  const { data, error } = fileSchema.safeParse(yaml.value)
  if (data === undefined) {
    const lines = error.issues.map(
      ({ path, message }) => `${yaml.position(path)}: ${z.core.toDotPath(path) || 'the file'}: ${message}`,
    )
    throw new SettingsError(`${file} is not valid:\n  ${lines.join('\n  ')}`)
  }
  const entries = data.acknowledged.map((entry, index) => ({ ...entry, index }))
  const known = new Set(entries.map(keyOf))
  return {
    has: change => known.has(keyOf(change)),
    stale(changes) {
      const keys = new Set(changes.map(keyOf))
      return entries
        .filter(entry => !keys.has(keyOf(entry)))
        .map(({ index, route, change }) => `${yaml.position(['acknowledged', index])}: ${route} ${change}`)
    },
  }
}

function keyOf({ route, change, from, to }: Pick<Change, 'route' | 'from' | 'to'> & { change: string }): string {
  return JSON.stringify([route, change, from, to])
}

/** Returns the entry of a change, as YAML. */
export function entryText({ route, change, from, to }: Change): string[] {
  const text = (value: string) => JSON.stringify(value)
  return [
    `  - route: ${text(route)}`,
    `    change: ${change}`,
    `    from: ${text(from)}`,
    `    to: ${text(to)}`,
    '    reason: ""',
  ]
}
