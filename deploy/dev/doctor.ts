/**
 * `make doctor`: checks the database of a running `make up`, or the one in the data folder. Prints one line per check
 * and exits with code 1 if a check finds a problem. `make doctor FIX=1` first corrects `doc_count` of every user.
 */
import { recountDocuments, runChecks } from './doctor-checks.ts'
import { withSystemDatabase } from './system-database.ts'

const MAX_PROBLEMS_PER_CHECK = 5

await withSystemDatabase(async urls => {
  if (process.env['FIX'] === '1') console.log(`doc_count corrected for ${await recountDocuments(urls)} users`)
  for (const { check, problems } of await runChecks(urls)) {
    const isOk = problems.length === 0
    console.log(`${isOk ? 'ok  ' : 'FAIL'} ${check}${isOk ? '' : ` (problems: ${problems.length})`}`)
    for (const problem of problems.slice(0, MAX_PROBLEMS_PER_CHECK)) console.log(`       ${problem}`)
    if (!isOk) process.exitCode = 1
  }
})
