/** The program: dispatch, help and exit codes. */
import path from 'node:path'
import { execa } from 'execa'
import t from 'tap'
import { check } from '../../../gateway/command/check.ts'
import { explain } from '../../../gateway/command/explain.ts'
import { openapi } from '../../../gateway/command/openapi.ts'
import { policyDiff } from '../../../gateway/command/policy-diff.ts'
import { proto } from '../../../gateway/command/proto.ts'
import { routes } from '../../../gateway/command/routes.ts'
import { serve } from '../../../gateway/command/serve.ts'
import { shopFolder } from './shop.ts'

t.setTimeout(300_000)
const MAIN = path.resolve(import.meta.dirname, '../../../gateway/command/main.ts')
const COMMANDS = [serve, check, routes, explain, openapi, policyDiff, proto]

const run = (cwd: string, ...args: string[]) => execa(process.execPath, [MAIN, ...args], { cwd, reject: false })

t.test('--help lists the commands, and that of each command has its usage and exit codes', async t => {
  const { stdout, exitCode } = await run('/', '--help')
  t.equal(exitCode, 0)
  for (const { name, help } of COMMANDS) {
    t.match(stdout, new RegExp(`^  ${name} +\\S`, 'm'))
    t.match(help, `Usage: gatehouse ${name}`)
    t.match(help, /Exit codes: 0 .*1 .*2 usage/s)
  }
  t.equal((await run('/', 'check', '--config', 'x', '--help')).stdout, check.help)
})

t.test('the exit code is 0 without findings, 1 with findings and 2 for an error of usage', async t => {
  const folder = shopFolder(t)
  const cases: [string[], number, RegExp][] = [
    [['explain', 'GET', '/v1/items'], 0, /result +sent to upstream shop/],
    [['explain', 'GET', '/v2'], 1, /404 route_not_found/],
    [['check'], 1, /REDIS_URL is required/],
    [['routes', '--config', 'missing.yaml'], 1, /^gatehouse: cannot read .*missing\.yaml/],
    [['serve', '--port', '3000'], 2, /^gatehouse: Unknown option '--port'.*See gatehouse --help/],
    [['policy-diff', 'gateway.yaml'], 2, /missing argument: NEW/],
    [['chek'], 2, /unknown command: chek/],
    [[], 2, /no command given/],
  ]
  const results = await Promise.all(cases.map(([args]) => run(folder, ...args)))
  for (const [index, { exitCode, stdout, stderr }] of results.entries()) {
    const [args, code, message] = cases[index] as (typeof cases)[number]
    t.equal(exitCode, code, args.join(' '))
    t.match(stdout + stderr, message)
    t.notMatch(stderr, /^ +at /m, 'no stack')
  }
})

t.test('a reader that closes the pipe early causes no error', async t => {
  const { stdout, stderr } = await execa('bash', ['-c', '"$0" "$1" openapi | head -1', process.execPath, MAIN], {
    cwd: shopFolder(t),
  })
  t.strictSame([stdout, stderr], ['{', ''])
})
