/**
 * `make doctor`: whether the database of a running `make up`, or the one in its folder, is as it should be. A line for each
 * check, and the exit code 1 when one finds something. `make doctor FIX=1` counts documents anew first.
 */
import { examine, recountDocuments } from './doctor-checks.ts'
import { withSystemDatabase } from './system-database.ts'

const SHOWN = 5

await withSystemDatabase(async urls => {
  if (process.env['FIX'] === '1') console.log(`doc_count: ${await recountDocuments(urls)} users had another number`)
  for (const { check, faults } of await examine(urls)) {
    console.log(`${faults.length === 0 ? 'ok  ' : 'BAD '} ${check}${faults.length === 0 ? '' : `: ${faults.length}`}`)
    for (const fault of faults.slice(0, SHOWN)) console.log(`       ${fault}`)
    if (faults.length > 0) process.exitCode = 1
  }
})
